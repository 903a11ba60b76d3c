package flagvalue_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/politeclose/politeclose/internal/flagvalue"
)

func TestAFileIsTriedAndLeftAsItWas(t *testing.T) {
	var name string
	missing, there := filepath.Join(t.TempDir(), "missing.svg"), filepath.Join(t.TempDir(), "there.svg")
	if err := os.WriteFile(there, []byte("a plot"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{missing, there} {
		if err := flagvalue.File(&name).Set(file); err != nil || name != file {
			t.Errorf("%s: %v, the value is %s", file, err, name)
		}
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that was not there: %v", err)
	}
	if text, err := os.ReadFile(there); string(text) != "a plot" {
		t.Errorf("a file that was there has %q: %v", text, err)
	}
}
