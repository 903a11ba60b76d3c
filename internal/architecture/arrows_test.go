package architecture

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files of packages that are so large that the way through them has to be one
// way, too, and how many there may be.
var oneWay = map[string]int{"core": 22}

// Between two files of a package calls go one way: no file calls into one that
// calls back into it, be it by others.
func TestCallsBetweenFilesGoOneWay(t *testing.T) {
	for folder, atMost := range oneWay {
		t.Run(folder, func(t *testing.T) {
			calls := callsBetweenFiles(t, filepath.Join(root, folder))
			if len(calls) > atMost {
				t.Errorf("%d files, want %d at most", len(calls), atMost)
			}
			for _, circle := range circles(calls) {
				slices.Sort(circle)
				t.Errorf("these files call each other in a circle: %v", circle)
				for _, from := range circle {
					for to, functions := range calls[from] {
						if slices.Contains(circle, to) {
							t.Logf("%s calls %s of %s", from, strings.Join(functions, ", "), to)
						}
					}
				}
			}
		})
	}
}

func TestACircleOfCallsIsFound(t *testing.T) {
	folder := t.TempDir()
	for name, source := range map[string]string{
		"top.go":    "package p\nfunc top() { new(middle).call(); bottom() }",
		"middle.go": "package p\nimport \"net/http\"\ntype middle struct{ http.Header }\nfunc (m *middle) call() { back(m) }",
		"back.go":   "package p\nfunc back(m *middle) { m.call(); bottom() }",
		"bottom.go": "package p\nfunc bottom() {}\nvar _ = middle{}",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found := circles(callsBetweenFiles(t, folder))
	if len(found) != 1 || len(found[0]) != 2 || !slices.Contains(found[0], "middle.go") || !slices.Contains(found[0], "back.go") {
		t.Errorf("found %v", found)
	}
}

// callsBetweenFiles returns, for each file of the package in folder, which
// functions of which other files of the package it names. Imports are left out:
// nothing that is imported can name the package's own.
func callsBetweenFiles(t *testing.T, folder string) map[string]map[string][]string {
	t.Helper()
	positions := token.NewFileSet()
	parsed, err := parser.ParseDir(positions, folder, func(file fs.FileInfo) bool { //nolint:staticcheck // no build tags here
		return !strings.HasSuffix(file.Name(), "_test.go")
	}, parser.SkipObjectResolution)
	if err != nil || len(parsed) != 1 {
		t.Fatalf("%d packages in %s: %v", len(parsed), folder, err)
	}
	file := func(at token.Pos) string { return filepath.Base(positions.Position(at).Filename) }
	calls := map[string]map[string][]string{}
	var files []*ast.File
	for _, p := range parsed {
		for name, f := range p.Files {
			calls[filepath.Base(name)] = map[string][]string{}
			files = append(files, f)
		}
	}
	uses := map[*ast.Ident]types.Object{}
	lenient := types.Config{Importer: withoutImports{}, Error: func(error) {}}
	p, _ := lenient.Check(folder, positions, files, &types.Info{Uses: uses})
	for name, used := range uses {
		function, ok := used.(*types.Func)
		if !ok || function.Pkg() != p {
			continue
		}
		function = function.Origin()
		from, to := file(name.Pos()), file(function.Pos())
		if from != to && !slices.Contains(calls[from][to], function.Name()) {
			calls[from][to] = append(calls[from][to], function.Name())
		}
	}
	return calls
}

type withoutImports struct{}

func (withoutImports) Import(string) (*types.Package, error) { return nil, errors.New("left out") }

// circles returns the groups of files that can be reached from one another.
func circles(calls map[string]map[string][]string) (found [][]string) {
	reached := map[string]map[string]bool{}
	for from := range calls {
		reached[from] = map[string]bool{}
		for next := []string{from}; len(next) > 0; next = next[1:] {
			for to := range calls[next[0]] {
				if !reached[from][to] {
					reached[from][to] = true
					next = append(next, to)
				}
			}
		}
	}
	done := map[string]bool{}
	for from := range calls {
		if !reached[from][from] || done[from] {
			continue
		}
		var circle []string
		for to := range reached[from] {
			if reached[to][from] {
				circle = append(circle, to)
				done[to] = true
			}
		}
		found = append(found, circle)
	}
	return found
}
