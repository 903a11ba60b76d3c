//go:build unix

package main

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/demonstration/demonstrationtest"
)

// The servers of a test are the test binary again.
func TestMain(m *testing.M) {
	if isServer() {
		os.Exit(server())
	}
	os.Exit(m.Run())
}

func TestABadFlagGetsOneLineThatSaysWhatIsAllowed(t *testing.T) {
	demonstrationtest.RefusesBadFlags(t, run, map[string][]string{
		"-clients 0":     {`"0"`, "-clients", "from 1 to 4096"},
		"-think -1ms":    {`"-1ms"`, "-think", "from 0s to 2s"},
		"-restarts 1001": {`"1001"`, "-restarts", "from 1 to 1000"},
		"-method kill":   {`"kill"`, "-method", "all, shutdown, closed, reuseport"},
		"-client 3":      {"-client"},
		"closed":         {`"closed"`, "only flags"},
	})
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	demonstrationtest.PrintsItsHelp(t, run, "-clients", "default 64", "-think", "default 1ms", "-restarts", "default 20", "-method")
}

func TestNobodyNoticesRestartsWithReusePort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux steers")
	}
	var stdout, stderr bytes.Buffer
	restarts := clienttest.Watched(func() (status int) {
		stdout.Reset()
		stderr.Reset()
		return run(t.Context(), []string{"-method", "reuseport", "-restarts", "3", "-clients", "16", "-think", "5ms"}, &stdout, &stderr, true)
	})
	for again := false; ; again = true { // a machine that has too much to do delays a request as well
		status := clienttest.Undisturbed(t, restarts, func(status int) bool { return status != 0 })
		if status != 0 {
			t.Fatalf("exit status %d, want 0:\n%s%s", status, &stdout, &stderr)
		}
		if again || strings.Contains(stdout.String(), "nobody noticed") {
			break
		}
		t.Logf("measured again:\n%s", &stdout)
	}
	for line := range strings.Lines(stdout.String()) {
		if width := utf8.RuneCountInString(line) - 1; width > 80 {
			t.Errorf("%d columns: %s", width, line)
		}
	}
	if !strings.Contains(stdout.String(), "nobody noticed") {
		t.Errorf("the table does not say that nobody noticed:\n%s", &stdout)
	}
	if !strings.Contains(stderr.String(), "reuseport: restart 3 of 3") {
		t.Errorf("the progress was not shown: %q", &stderr)
	}
}

func TestPlainShutdownIsNoticedAndIsNoFailure(t *testing.T) {
	var stdout, stderr bytes.Buffer
	s, err := parse([]string{"-method", "shutdown", "-restarts", "3"}, &stdout)
	if err != nil {
		t.Fatal(err)
	}
	r, err := measureOne(t.Context(), s.ways[0], s, func(result) {})
	if err != nil {
		t.Fatal(err)
	}
	if r.unnoticed() {
		t.Errorf("nobody noticed %d restarts among %d requests: the traffic proves nothing", r.restarts, r.all().Requests)
	}
	if status := run(t.Context(), []string{"-method", "shutdown", "-restarts", "1"}, &stdout, &stderr, false); status != 0 {
		t.Errorf("exit status %d, want 0: only reuseport has to be unnoticed\n%s", status, &stderr)
	}
}

func TestANextVersionThatDoesNotStartIsNoReasonToLeave(t *testing.T) {
	t.Setenv(wayVariable, "no such way")
	err := startNext()
	if err == nil || !strings.Contains(err.Error(), "ended before it listened") {
		t.Errorf("starting a version that does not work: %v", err)
	}
}
