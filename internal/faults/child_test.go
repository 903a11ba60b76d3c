package faults

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// childEnv tells the test binary which child it is, and addressEnv with which server.
const (
	childEnv   = "POLITECLOSE_FAULTS_CHILD"
	addressEnv = "POLITECLOSE_FAULTS_ADDRESS"
)

// runChild is the main function of a child process.
func runChild(kind string) (status int) {
	if kind == idleClients {
		return runIdleClients()
	}
	return runSignalled(kind)
}

// childProcess is the test binary, once more.
type childProcess struct {
	t       *testing.T
	command *exec.Cmd
	lines   *bufio.Reader
}

func startChild(t *testing.T, kind string, env ...string) *childProcess {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(executable)
	// The race detector's own pause at the exit is a second.
	command.Env = append(append(os.Environ(), childEnv+"="+kind, "GORACE=atexit_sleep_ms=0"), env...)
	command.Stderr = os.Stderr
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
	return &childProcess{t, command, bufio.NewReader(out)}
}

// expectLine waits for the next line that the process prints.
func (c *childProcess) expectLine(want string) {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if got := strings.TrimSuffix(line, "\n"); err != nil || got != want {
		c.t.Fatalf("the process printed %q, %v; want %q", got, err, want)
	}
}

// expectSuccess waits for the end of the process, with status 0.
func (c *childProcess) expectSuccess() {
	c.t.Helper()
	if err := c.command.Wait(); err != nil {
		c.t.Errorf("the process ended with %v", err)
	}
}

// failed is how a child reports what a test would.
func failed(what any) (status int) {
	fmt.Fprintln(os.Stderr, what)
	return 1
}
