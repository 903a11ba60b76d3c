package architecture

import (
	"os"
	"path/filepath"
	"testing"
)

// mostLinked is by how many bytes a stripped program may grow with stdlib.Serve,
// a fifth more than it does. What few programs need must not come with it, such
// as the server's side of TLS, which is in a program that uses stdlib.TLS.
const mostLinked = 1_200_000

// TestAProgramStaysSmall compares with a program that has log/slog as well, which
// core.Logger names: with its encoding/json it adds 0.3 MB on Go 1.26 and 0.9 MB on
// Go 1.27, unless the program logs by slog anyway.
func TestAProgramStaysSmall(t *testing.T) {
	without := sizeOf(t, "./internal/architecture/testdata/without")
	with := sizeOf(t, "./internal/architecture/testdata/with")
	t.Logf("%d bytes with stdlib.Serve, %d without", with, without)
	if with-without > mostLinked {
		t.Errorf("stdlib.Serve makes a program %d bytes larger, want %d at most", with-without, mostLinked)
	}
}

func sizeOf(t *testing.T, folder string) int64 {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	output(t, root, "go", "build", "-ldflags", "-s -w", "-o", program, folder)
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
