package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deploy is the folder with the files that users copy.
const deploy = "../../examples/deploy"

// fill writes a copy of a file of examples/deploy with replacements made, pairs
// of what is there and what the test needs, and returns its path. It fails the
// test where there is nothing to replace.
func fill(t *testing.T, name string, replacements ...string) string {
	t.Helper()
	text := read(t, name)
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(text, replacements[i]) {
			t.Fatalf("%s has no %q to replace", name, replacements[i])
		}
		text = strings.ReplaceAll(text, replacements[i], replacements[i+1])
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
