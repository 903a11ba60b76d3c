// Package architecture tests what no single package can test of itself: which way imports point, that no module
// escapes the checks, and that nothing in the repository depends on the machine on which it was written.
package architecture

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	project = "github.com/politeclose/politeclose"
	root    = "../.."
)

// A rule says from what a library package may be built, besides the standard library: directly or through others.
type rule struct {
	packages  []string // of this project
	framework []string // of an adapter: the foreign modules that it may import. What those need is their own affair
}

// rules has every library package. Of internal/ nothing is in it but what adapters are made of, so no library package can
// import test code.
var rules = map[string]rule{
	"":                        {}, // the package page
	"core":                    {packages: ofCore},
	"core/internal/callback":  {},
	"core/internal/caller":    {},
	"core/internal/counters":  {packages: []string{"core/internal/shed"}},
	"core/internal/drainflag": {packages: []string{"core/internal/callback"}},
	"core/internal/facade":    {},
	"core/internal/fanout":    {},
	"core/internal/header":    {},
	"core/internal/leaving":   {packages: []string{"core/internal/callback", "core/internal/drainflag", "core/internal/shed"}},
	"core/internal/pattern":   {},
	"core/internal/recent":    {},
	"core/internal/shed":      {},
	"core/load":               {packages: withCore()},
	"stdlib":                  {packages: withCore("stdlib/internal/goaway", "stdlib/internal/quiesce")},
	"stdlib/internal/goaway":  {},
	"stdlib/internal/quiesce": {},
	"statuspage":              {packages: withCore()},
	"internal/instruments":    {packages: withCore()},
	"promadapter":             {packages: withCore("internal/instruments"), framework: []string{"github.com/prometheus/client_golang"}},
	"oteladapter":             {packages: withCore("internal/instruments"), framework: []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/otel/metric"}},
	"fleet":                   {packages: withCore()},
	"chiadapter":              {packages: withCore(), framework: []string{"github.com/go-chi/chi/v5"}},
	"ginadapter":              {packages: withCore(), framework: []string{"github.com/gin-gonic/gin"}},
	"echoadapter":             {packages: withCore(), framework: []string{"github.com/labstack/echo/v4"}},
	"echov5adapter":           {packages: withCore(), framework: []string{"github.com/labstack/echo/v5"}},
}

// ofCore is what core is made of. Nothing else can import it, but all that is built from core is built from it, too.
var ofCore = []string{
	"core/internal/callback", "core/internal/caller", "core/internal/counters", "core/internal/drainflag", "core/internal/facade", "core/internal/fanout",
	"core/internal/header", "core/internal/leaving", "core/internal/pattern", "core/internal/recent", "core/internal/shed",
}

func withCore(others ...string) []string { return slices.Concat([]string{"core"}, ofCore, others) }

func TestImportsPointOneWay(t *testing.T) {
	for _, module := range modules(t) {
		if !isLibrary(module) {
			continue
		}
		packages := list(t, module)
		for importPath, p := range packages {
			name, ours := relative(importPath)
			if !ours || p.Name == "main" || !isLibrary(name) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				rule, known := rules[name]
				if !known {
					t.Fatalf("%s is a library package without a rule", name)
				}
				for _, dependency := range p.Deps {
					below := packages[dependency]
					if below.Standard {
						continue
					}
					if other, ours := relative(dependency); ours {
						if !slices.Contains(rule.packages, other) {
							t.Errorf("%s must not be built from %s", name, other)
						}
						continue
					}
					if rule.framework == nil {
						t.Errorf("%s must not be built from %s of module %s", name, dependency, below.Module.Path)
					}
				}
				for _, imported := range p.Imports {
					below := packages[imported]
					_, ours := relative(imported)
					if rule.framework != nil && !ours && !below.Standard && !slices.Contains(rule.framework, below.Module.Path) {
						t.Errorf("%s must not import %s: an adapter knows its framework only", name, imported)
					}
				}
			})
		}
	}
}

func TestChecksFindEveryModule(t *testing.T) {
	checked := strings.Fields(output(t, root, "bash", ".ci/run", "modules"))
	slices.Sort(checked)
	if want := modules(t); !slices.Equal(checked, want) {
		t.Errorf(".ci/run checks the modules %v, the repository has %v", checked, want)
	}
}

// ofOneMachine is put together from pieces, so that this file does not match it.
var ofOneMachine = regexp.MustCompile(
	`(^|[^\w.])/` + `(work|root|home|Users)/` +
		`|(proxy|sum)\.golang\.` + `org` +
		`|registry\.` + `npmjs\.` +
		`|(deb|security)\.` + `debian\.`)

func TestNothingNamesAMachineOrARegistry(t *testing.T) {
	names := strings.Split(output(t, root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00")
	read := 0
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(root, name))
		if name == "" || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		read++
		for number, line := range bytes.Split(content, []byte("\n")) {
			if found := ofOneMachine.Find(line); found != nil {
				t.Errorf("%s:%d: %q", name, number+1, found)
			}
		}
	}
	if read == 0 {
		t.Error("git lists no file")
	}
}

// A listed package, as go list prints it.
type listed struct {
	ImportPath string
	Name       string
	Standard   bool
	Module     struct{ Path string }
	Imports    []string
	Deps       []string
}

// list has the packages of a module and all that they are built from, by import path.
func list(t *testing.T, module string) map[string]listed {
	t.Helper()
	text := output(t, filepath.Join(root, module), "go", "list", "-deps", "-json=ImportPath,Name,Standard,Module,Imports,Deps", "./...")
	packages := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(text)); ; {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages[p.ImportPath] = p
	}
}

// modules finds the folder of every go.mod by looking at the disk, unlike the checks, which ask git.
func modules(t *testing.T) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil && entry.Name() == "go.mod" {
			found = append(found, path.Dir(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// relative is a package's folder in the repository, "" the root.
func relative(importPath string) (folder string, ours bool) {
	if importPath == project {
		return "", true
	}
	return strings.CutPrefix(importPath, project+"/")
}

// isLibrary tells what a user imports, and what that is made of, from tests, programs and comparisons.
func isLibrary(folder string) bool {
	if _, ruled := rules[folder]; ruled {
		return true
	}
	first, _, _ := strings.Cut(folder, "/")
	return !slices.Contains([]string{"internal", "examples", "bench"}, first)
}

func output(t *testing.T, folder, name string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), name, arguments...)
	command.Dir = folder
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, complaint.String())
	}
	return string(out)
}
