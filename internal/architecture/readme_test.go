package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A Go block of the README stands below a comment that names the file it is
// copied from, so that it compiles.
var readmeBlock = regexp.MustCompile("(?s)(<!-- from (\\S+) -->\n)?```go\n(.*?)```")

func TestTheGoBlocksOfTheReadmeAreCopiedFromFilesThatCompile(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlock.FindAllStringSubmatch(string(readme), -1)
	if len(blocks) < 5 {
		t.Errorf("%d blocks found; there is one for each framework at least", len(blocks))
	}
	for _, block := range blocks {
		from, code := block[2], block[3]
		if from == "" {
			t.Errorf("this block does not say what it is copied from:\n%s", code)
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(from)))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(withoutIndent(string(source)), withoutIndent(code)) {
			t.Errorf("this block is not in %s:\n%s", from, code)
		}
	}
}

func withoutIndent(code string) string {
	lines := strings.Split(code, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t ")
	}
	return strings.Join(lines, "\n")
}
