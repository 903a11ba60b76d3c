// Package demonstrationtest tests what the programs in examples that prove
// something have in common.
package demonstrationtest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// Program is what [demonstration.Main] runs.
type Program func(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int)

// RefusesBadFlags shows that a fault in the arguments, which are parted by spaces,
// costs one line, and that it contains this.
func RefusesBadFlags(t *testing.T, program Program, bad map[string][]string) {
	t.Helper()
	for args, want := range bad {
		t.Run(args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := program(t.Context(), strings.Fields(args), &stdout, &stderr, false); status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output %q, want none", &stdout)
			}
			line := stderr.String()
			if strings.Count(line, "\n") != 1 {
				t.Errorf("%q is not one line", line)
			}
			contains(t, line, want)
		})
	}
}

// PrintsItsHelp shows that -h is no failure, and that the usage contains this.
func PrintsItsHelp(t *testing.T, program Program, want ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := program(t.Context(), []string{"-h"}, &stdout, &stderr, false); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	contains(t, stdout.String(), want)
	if stderr.Len() > 0 {
		t.Errorf("standard error %q, want none", &stderr)
	}
}

func contains(t *testing.T, text string, want []string) {
	t.Helper()
	for _, want := range want {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not contain %q", text, want)
		}
	}
}
