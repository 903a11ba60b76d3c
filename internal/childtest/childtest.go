// Package childtest runs a test binary once more, as the child process that a test
// needs: one that is sent signals, or has files of its own.
package childtest

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

const variable = "POLITECLOSE_CHILD"

// Kind is what Start was given, in the child, and "" in a test. It is for a
// TestMain.
func Kind() string { return os.Getenv(variable) }

// Process is a child process. It ends with the test at the latest.
type Process struct {
	*exec.Cmd
	t     *testing.T
	lines *bufio.Reader
}

// Start starts a child with some variables more in its environment.
func Start(t *testing.T, kind string, env ...string) *Process {
	t.Helper()
	return StartWith(t, nil, kind, env...)
}

// StartWith starts a child with attributes of the system's.
func StartWith(t *testing.T, attributes *syscall.SysProcAttr, kind string, env ...string) *Process {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(executable)
	// The race detector's own pause at the exit is a second.
	command.Env = append(append(os.Environ(), variable+"="+kind, "GORACE=atexit_sleep_ms=0"), env...)
	command.Stderr = os.Stderr
	command.SysProcAttr = attributes
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(3*clienttest.Patience, func() { command.Process.Kill() })
	t.Cleanup(func() {
		deadline.Stop()
		command.Process.Kill()
		command.Wait()
	})
	return &Process{command, t, bufio.NewReader(out)}
}

// Line waits for the next line that the process prints.
func (p *Process) Line() string {
	p.t.Helper()
	line, err := p.lines.ReadString('\n')
	if err != nil {
		p.t.Fatalf("the process ended: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// ExpectLine fails the test unless the next line is want.
func (p *Process) ExpectLine(want string) {
	p.t.Helper()
	if got := p.Line(); got != want {
		p.t.Fatalf("the process printed %q; want %q", got, want)
	}
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// ExpectStatus waits for the end of the process.
func (p *Process) ExpectStatus(status int) {
	p.t.Helper()
	err := p.Wait()
	if got := p.ProcessState.ExitCode(); got != status {
		p.t.Errorf("the process ended with status %d (%v), want %d", got, err, status)
	}
}

// ExpectKilled waits for the end of the process, by a signal.
func (p *Process) ExpectKilled(by os.Signal) {
	p.t.Helper()
	p.Wait()
	if got, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || !got.Signaled() || got.Signal() != by {
		p.t.Errorf("the process ended with %v, want %v", p.ProcessState, by)
	}
}
