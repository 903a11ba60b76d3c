package faults

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wallClock are the functions and methods of package time that look at the wall clock, or give a time without its
// monotonic reading. A time.Now, and what time.Since, Add and Sub make of it, never need them.
var wallClock = map[string]bool{
	"AddDate": true, "AppendFormat": true, "Clock": true, "Date": true, "Format": true, "In": true, "Local": true,
	"Parse": true, "ParseInLocation": true, "Round": true, "Truncate": true, "UTC": true, "Unix": true,
	"UnixMicro": true, "UnixMilli": true, "UnixNano": true, "YearDay": true,
}

// harmless are calls of the same names that do not look at the clock: of a number, of a duration, of a deadline that
// is long past on every clock, and for a header that has the date.
var harmless = map[string]string{
	"core/connection.go":             "math.Round",
	"stdlib/report.go":               "d.Round",
	"stdlib/request_timeout.go":      "now.UTC().Format",
	"stdlib/internal/goaway/conn.go": "time.Unix",
}

// A wall clock that is set, or that NTP steps, changes no decision and no bound if nothing looks at it.
func TestNothingLooksAtTheWallClock(t *testing.T) {
	const root = "../.."
	files := 0
	for _, library := range []string{"core", "stdlib"} {
		err := filepath.WalkDir(filepath.Join(root, library), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files++
			for _, found := range wallClockCalls(t, filepath.ToSlash(name), source) {
				t.Error(found)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files == 0 {
		t.Error("there is no file")
	}
}

func TestACallThatLooksAtTheWallClockIsFound(t *testing.T) {
	for _, call := range []string{
		"time.Unix(0, 0)", "time.Now().UnixNano()", "start.Round(0)", "start.Truncate(time.Second)", "start.UTC()",
		"c.start.In(time.UTC)", "(start).Unix()", "time.Now().Add(time.Second).Local()",
	} {
		source := fmt.Sprintf("package p\n\nimport \"time\"\n\nvar x = %s\n", call)
		if found := wallClockCalls(t, "stdlib/p.go", []byte(source)); len(found) != 1 {
			t.Errorf("in %s these are found: %q", call, found)
		}
	}
	for _, call := range []string{"time.Now()", "time.Since(start)", "start.Add(1).Sub(start)", "start.Before(end)"} {
		source := fmt.Sprintf("package p\n\nimport \"time\"\n\nvar x = %s\n", call)
		if found := wallClockCalls(t, "stdlib/p.go", []byte(source)); len(found) != 0 {
			t.Errorf("in %s these are found: %q", call, found)
		}
	}
}

// wallClockCalls returns the calls that a file should not have, where it has to do with time at all.
func wallClockCalls(t *testing.T, name string, source []byte) (found []string) {
	t.Helper()
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !wallClock[selector.Sel.Name] {
			return true
		}
		begin, end := positions.Position(selector.Pos()), positions.Position(selector.End())
		text := string(source[begin.Offset:end.Offset])
		if text == harmless[name] {
			return false
		}
		found = append(found, fmt.Sprintf("%s: %s", begin, text))
		return true
	})
	return found
}
