package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// documents returns what users read, by its path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%d pages in docs: %v", len(pages), err)
	}
	for _, page := range pages {
		names = append(names, "docs/"+filepath.Base(page))
	}
	texts := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

// A Go block stands below a comment that names the file it is copied from, so
// that it compiles.
var goBlock = regexp.MustCompile("(?s)(<!-- from (\\S+) -->\n)?```go\n(.*?)```")

func TestTheGoBlocksOfDocumentsAreCopiedFromFilesThatCompile(t *testing.T) {
	blocks := 0
	for name, text := range documents(t) {
		for _, block := range goBlock.FindAllStringSubmatch(text, -1) {
			blocks++
			from, code := block[2], block[3]
			if from == "" {
				t.Errorf("%s: this block does not say what it is copied from:\n%s", name, code)
				continue
			}
			source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(from)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !strings.HasSuffix(from, ".go") || !strings.Contains(withoutIndent(string(source)), withoutIndent(code)) {
				t.Errorf("%s: this block is not in %s:\n%s", name, from, code)
			}
		}
	}
	if blocks < 10 {
		t.Errorf("%d blocks found", blocks)
	}
}

func withoutIndent(code string) string {
	lines := strings.Split(code, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t ")
	}
	return strings.Join(lines, "\n")
}

var (
	fenced  = regexp.MustCompile("(?ms)^```.*?^```$")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

func TestTheLinksOfDocumentsLeadSomewhere(t *testing.T) {
	texts := documents(t)
	found := 0
	for name, text := range texts {
		for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			found++
			file, anchor, anchored := strings.Cut(match[1], "#")
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(target))); err != nil {
				t.Errorf("%s links to %s: %v", name, match[1], err)
			}
			if anchored && !slices.Contains(anchors(texts[target]), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", name, match[1], target)
			}
		}
	}
	if found < 20 {
		t.Errorf("%d links found", found)
	}
}

// anchors are what GitHub makes of the headings: in lower case, with dashes for
// spaces, and of anything else only letters, digits, dashes and underscores.
func anchors(text string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, match[1]))
	}
	return all
}

func TestTheReadmeLeadsToEveryPage(t *testing.T) {
	texts := documents(t)
	for name := range texts {
		if name != "README.md" && !strings.Contains(texts["README.md"], "]("+name+")") {
			t.Errorf("the README does not link to %s", name)
		}
	}
}

func TestTheReadmeIsOneSitting(t *testing.T) {
	readme := documents(t)["README.md"]
	if size := len(readme); size > 9<<10 {
		t.Errorf("%d bytes, want 9 KB at most", size)
	}
	if lines := strings.Count(readme, "\n"); lines > 180 {
		t.Errorf("%d lines, want 180 at most", lines)
	}
	for line := range strings.Lines(readme) {
		if columns := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); columns > 100 {
			t.Errorf("%d columns, want 100 at most: %s", columns, line)
		}
	}
	for _, sentence := range sentences(readme) {
		if words := len(strings.Fields(sentence)); words > 30 {
			t.Errorf("a sentence of %d words, want 30 at most: %s", words, sentence)
		}
	}
	first := goBlock.FindStringSubmatch(readme)
	if first == nil || !strings.HasPrefix(first[3], "package main\n") {
		t.Fatal("the first block is no program")
	}
	if lines := strings.Count(first[3], "\n"); lines > 25 {
		t.Errorf("the first program has %d lines, want 25 at most", lines)
	}
	for _, command := range []string{"go run ./examples/drain", "go test ./..."} {
		if !strings.Contains(readme, "\n"+command+"\n") {
			t.Errorf("the command %q is missing", command)
		}
	}
}

// sentences are those of the paragraphs, list items and cells outside of code.
func sentences(text string) (all []string) {
	text = fenced.ReplaceAllString(text, "\n")
	text = link.ReplaceAllString(text, "]")
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		for _, block := range regexp.MustCompile(`(?m)^(- |\|)|\|`).Split(paragraph, -1) {
			all = append(all, regexp.MustCompile(`[.!?]\s`).Split(block+"\n", -1)...)
		}
	}
	return all
}

func TestALongSentenceAndALostAnchorAreFound(t *testing.T) {
	long := strings.Repeat("word ", 31)
	for _, text := range []string{long + ".", "Short.\n" + long + ".", "- " + long, "| a | " + long + "|"} {
		if !slices.ContainsFunc(sentences(text), func(s string) bool { return len(strings.Fields(s)) == 31 }) {
			t.Errorf("not found in %.40q", text)
		}
	}
	if got := anchors("# Your own `ListenAndServe`, now\n```\n# no heading\n```\n"); !slices.Equal(got, []string{"your-own-listenandserve-now"}) {
		t.Errorf("anchors %q", got)
	}
}
