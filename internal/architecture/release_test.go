package architecture

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// released are the modules of their own that users add to theirs.
var released = []string{"echov5adapter", "promadapter", "oteladapter"}

// TestReleasedModulesCanBeHadByTheirVersion does what CONTRIBUTING says about a release, with this tree in the place of
// the repository at GitHub, and then what a user does.
func TestReleasedModulesCanBeHadByTheirVersion(t *testing.T) {
	t.Parallel()
	const version = "v0.1.0"
	repository := copyOfTheTree(t)
	// A hook that runs the tests has GIT_DIR and the like say where the real repository is.
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	run := func(folder, name string, arguments ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, arguments...)
		command.Dir, command.Env = folder, environment
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, said)
		}
	}
	git := func(args ...string) {
		t.Helper()
		settings := []string{"-c", "user.name=releaser", "-c", "user.email=releaser@example.com", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}
		run(repository, "git", append(settings, args...)...)
	}
	git("init", "--quiet")
	git("add", "--all")
	git("commit", "--quiet", "--message", "Release the root module")
	git("tag", version)
	for _, module := range released {
		run(filepath.Join(repository, module), "go", "mod", "edit", "-require", project+"@"+version)
	}
	git("commit", "--quiet", "--all", "--message", "Require it")
	for _, module := range released {
		git("tag", module+"/"+version)
	}

	// Modules of others come from where they are already, and have been checked there.
	cache := strings.TrimSpace(output(t, root, "go", "env", "GOMODCACHE"))
	proxies := "file://" + filepath.ToSlash(filepath.Join(cache, "cache", "download")) + "," +
		strings.TrimSpace(output(t, root, "go", "env", "GOPROXY"))
	user := t.TempDir()
	environment = append(environment, "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw", "GOMODCACHE="+filepath.Join(user, "cache"),
		"GOPROXY="+proxies, "GOSUMDB=off", "GOPRIVATE="+project,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://"+repository+".insteadOf", "GIT_CONFIG_VALUE_0=https://"+project)
	require := []string{"mod", "edit"}
	// The root module is had by what the others require: nobody else names its version.
	download := []string{"mod", "download", project}
	for _, module := range released {
		require = append(require, "-require", project+"/"+module+"@"+version)
		download = append(download, project+"/"+module)
	}
	for _, arguments := range [][]string{{"mod", "init", "example.com/user"}, require, download} {
		run(user, "go", arguments...)
	}
}

// copyOfTheTree has the files that git tracks, and that it would track.
func copyOfTheTree(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	names := output(t, root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	for name := range strings.SplitSeq(names, "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil { // the last name is empty, and a file may have been deleted
			continue
		}
		if err := os.MkdirAll(filepath.Join(folder, filepath.Dir(name)), fs.ModePerm); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}
