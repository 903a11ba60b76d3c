package architecture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// copied are the programs that users copy, and the modules of ours that each
// needs. None may need a file beside main.go, or a package that only we can
// import.
var copied = map[string][]string{
	"examples/stdlib":       {"."},
	"examples/chi":          {"."},
	"examples/gin":          {"."},
	"examples/echo":         {"."},
	"echov5adapter/example": {".", "echov5adapter"},
}

func TestEachExampleBuildsAloneInAnEmptyModule(t *testing.T) {
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for folder, modules := range copied {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			program, err := os.ReadFile(filepath.Join(repository, folder, "main.go"))
			if err != nil {
				t.Fatal(err)
			}
			// The checksums are those of the module in the tree, so that nobody has to
			// be asked for them.
			sums, err := os.ReadFile(filepath.Join(repository, modules[len(modules)-1], "go.sum"))
			if err != nil {
				t.Fatal(err)
			}
			goMod := "module example.com/copied\n\ngo 1.26.0\n"
			for _, module := range modules {
				path := strings.TrimSuffix(project+"/"+module, "/.")
				goMod += fmt.Sprintf("\nrequire %s v0.0.0\nreplace %[1]s => %s\n", path, filepath.Join(repository, module))
			}
			empty := t.TempDir()
			for name, content := range map[string]string{"main.go": string(program), "go.mod": goMod, "go.sum": string(sums)} {
				if err := os.WriteFile(filepath.Join(empty, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			build := exec.CommandContext(t.Context(), "go", "build", "-mod=mod", "-o", os.DevNull, ".")
			build.Dir = empty
			build.Env = append(os.Environ(), "GOWORK=off")
			if said, err := build.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, said)
			}
		})
	}
}
