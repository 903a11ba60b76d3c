//go:build unix

package main

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// The servers of a test are the test binary again.
func TestMain(m *testing.M) {
	if isServer() {
		os.Exit(server())
	}
	os.Exit(m.Run())
}

func TestABadFlagGetsOneLineThatSaysWhatIsAllowed(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"no client":               {[]string{"-clients", "0"}, []string{`"0"`, "-clients", "from 1 to 4096"}},
		"a negative think time":   {[]string{"-think", "-1ms"}, []string{`"-1ms"`, "-think", "from 0s to 2s"}},
		"too many restarts":       {[]string{"-restarts", "1001"}, []string{`"1001"`, "-restarts", "from 1 to 1000"}},
		"an unknown method":       {[]string{"-method", "kill"}, []string{`"kill"`, "-method", "all, shutdown, closed, reuseport"}},
		"an unknown flag":         {[]string{"-client", "3"}, []string{"-client"}},
		"an argument, not a flag": {[]string{"closed"}, []string{`"closed"`, "only flags"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), test.args, &stdout, &stderr, false); status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output %q, want none", &stdout)
			}
			line := stderr.String()
			if strings.Count(line, "\n") != 1 {
				t.Errorf("%q is not one line", line)
			}
			for _, want := range test.want {
				if !strings.Contains(line, want) {
					t.Errorf("%q does not contain %q", line, want)
				}
			}
		})
	}
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, &stdout, &stderr, false); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	for _, want := range []string{"-clients", "default 64", "-think", "default 1ms", "-restarts", "default 20", "-method"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the usage does not contain %q:\n%s", want, &stdout)
		}
	}
}

func TestNobodyNoticesRestartsWithReusePort(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux steers")
	}
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"-method", "reuseport", "-restarts", "3", "-clients", "16", "-think", "5ms"}, &stdout, &stderr, true)
	if status != 0 {
		t.Errorf("exit status %d, want 0:\n%s%s", status, &stdout, &stderr)
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
