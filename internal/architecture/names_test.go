package architecture

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// described are the packages whose names stand in documents.
var described = []string{
	"core", "core/load", "stdlib", "chiadapter", "ginadapter", "echoadapter", "echov5adapter",
	"promadapter", "oteladapter", "statuspage", "fleet",
}

// exportedNames returns the exported names of a package as documents write them:
// "core.New", and "Stats.Open" or "Controller.Drain" for what a type has. The
// value of a function is the type that it returns, if that is the package's own.
func exportedNames(t *testing.T, folder string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseDir(token.NewFileSet(), filepath.Join(root, filepath.FromSlash(folder)), func(file fs.FileInfo) bool { //nolint:staticcheck // no types are needed
		return !strings.HasSuffix(file.Name(), "_test.go")
	}, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	add := func(of string, name *ast.Ident, returns string) {
		if name.IsExported() {
			names[of+"."+name.Name] = returns
		}
	}
	for name, files := range parsed {
		ast.Inspect(files, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				of, returns := name, ""
				if n.Recv != nil {
					of = typeName(n.Recv.List[0].Type)
				}
				if results := n.Type.Results; results != nil && len(results.List) == 1 {
					returns = typeName(results.List[0].Type)
				}
				add(of, n.Name, returns)
				return false
			case *ast.TypeSpec:
				add(name, n.Name, "")
				if fields, ok := n.Type.(*ast.StructType); ok {
					for _, field := range fields.Fields.List {
						for _, f := range field.Names {
							add(n.Name.Name, f, "")
						}
					}
				}
				return false
			case *ast.ValueSpec:
				for _, value := range n.Names {
					add(name, value, "")
				}
				return false
			}
			return true
		})
	}
	return names
}

func typeName(expression ast.Expr) string {
	switch e := expression.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// ours is a name of a package of ours, or of what one of its types has. That of an
// import path, or of another package's type, has more in front of it.
var ours = regexp.MustCompile(`(?:^|[^\w./])(core|load|stdlib|chiadapter|ginadapter|echoadapter|echov5adapter|promadapter|oteladapter|statuspage|fleet|Stats|Report|Controller|Event|Exchange|Cut)(?:\(\))?\.([A-Z]\w*)`)

func TestTheNamesInDocumentsExist(t *testing.T) {
	names := map[string]string{}
	for _, folder := range described {
		maps.Copy(names, exportedNames(t, folder))
	}
	found := 0
	for document, text := range documents(t) {
		for _, match := range ours.FindAllStringSubmatch(text, -1) {
			found++
			name := match[1] + "." + match[2]
			if _, declared := names[name]; !declared {
				t.Errorf("%s: there is no %s", document, name)
			}
		}
	}
	if found < 100 {
		t.Errorf("%d names found", found)
	}
}

func TestTheMapNamesEveryFolderOfInternal(t *testing.T) {
	folders, err := os.ReadDir(filepath.Join(root, "internal"))
	if err != nil || len(folders) < 10 {
		t.Fatalf("%d folders: %v", len(folders), err)
	}
	for _, folder := range folders {
		if !strings.Contains(documents(t)["CONTRIBUTING.md"], "`internal/"+folder.Name()+"`") {
			t.Errorf("the map in CONTRIBUTING.md lacks internal/%s", folder.Name())
		}
	}
}

// Who looks for an option reads one table.
func TestEachOptionHasItsPlaceInATable(t *testing.T) {
	texts := documents(t)
	for _, table := range []struct{ folder, option, page string }{
		{"core", "Option", "docs/rules.md"},
		{"stdlib", "ServeOption", "docs/lifecycle.md"},
	} {
		var options []string
		for name, returns := range exportedNames(t, table.folder) {
			if returns == table.option {
				options = append(options, strings.TrimPrefix(name, table.folder+"."))
			}
		}
		if len(options) < 10 {
			t.Errorf("%d options in %s", len(options), table.folder)
		}
		slices.Sort(options)
		for _, option := range options {
			row := regexp.MustCompile("(?m)^\\|.*`" + option + `\(`)
			if option != "Simulated" && !row.MatchString(texts[table.page]) { // which is not for servers
				t.Errorf("%s has no row for %s", table.page, option)
			}
		}
	}
}
