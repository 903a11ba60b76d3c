package stdlib_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// childEnv tells the test binary to be a server, and which.
const childEnv = "POLITECLOSE_TEST_CHILD"

// child serves until a signal, and then prints what Serve returned.
func child() (status int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return 2
	}
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return 2
	}
	fmt.Println(l.Addr())
	opts := []stdlib.ServeOption{stdlib.On(l), stdlib.IdleGrace(0), stdlib.DrainTimeout(time.Hour)}
	switch os.Getenv(childEnv) {
	case "default":
		opts = append(opts, stdlib.Signals())
	case "named":
		opts = append(opts, stdlib.Signals(syscall.SIGHUP))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", hello)
	mux.Handle("/ready", stdlib.Ready(ctl))
	mux.HandleFunc("/blocked", func(_ http.ResponseWriter, r *http.Request) {
		io.WriteString(os.Stdout, "blocked\n")
		<-r.Context().Done()
	})
	report, err := stdlib.Serve(context.Background(), &http.Server{Handler: stdlib.Middleware(ctl)(mux)}, ctl, opts...)
	fmt.Printf("announced %d, forced %d, error %v\n", report.Announced, report.Forced, err)
	if errors.Is(err, stdlib.ErrDrainTimeout) {
		return 3
	}
	return 0
}

type childProcess struct {
	t       *testing.T
	command *exec.Cmd
	lines   *bufio.Reader
	address string
}

func startChild(t *testing.T, kind string) *childProcess {
	t.Helper()
	command := exec.Command(os.Args[0])
	// The race detector's own pause at the exit is a second.
	command.Env = append(os.Environ(), childEnv+"="+kind, "GORACE=atexit_sleep_ms=0")
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(2*clienttest.Patience, func() { command.Process.Kill() })
	t.Cleanup(func() {
		deadline.Stop()
		command.Process.Kill()
		command.Wait()
	})
	c := &childProcess{t: t, command: command, lines: bufio.NewReader(out)}
	c.address = c.line()
	return c
}

func (c *childProcess) line() string {
	c.t.Helper()
	line, err := c.lines.ReadString('\n')
	if err != nil {
		c.t.Fatalf("the process ended: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (c *childProcess) signal(s os.Signal) {
	c.t.Helper()
	if err := c.command.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// expectExit waits for the end of the process and its last line.
func (c *childProcess) expectExit(status int, last string) {
	c.t.Helper()
	if got := c.line(); got != last {
		c.t.Errorf("the process printed %q, want %q", got, last)
	}
	c.command.Wait()
	if got := c.command.ProcessState.ExitCode(); got != status {
		c.t.Errorf("the exit status is %d, want %d", got, status)
	}
}

func TestTheFirstSignalDrains(t *testing.T) {
	for _, c := range []struct {
		kind   string
		signal os.Signal
	}{
		{"default", syscall.SIGTERM},
		{"default", os.Interrupt},
		{"named", syscall.SIGHUP},
	} {
		t.Run(c.kind+" "+c.signal.String(), func(t *testing.T) {
			p := startChild(t, c.kind)
			client := clienttest.Dial(t, p.address)
			client.ExpectKept(get(t, client, "/"))
			p.signal(c.signal)
			// The client's connection is idle and stays until its next request.
			waitForClosedListener(t, p.address)
			client.ExpectClosed(get(t, client, "/"))
			client.Close()
			p.expectExit(0, "announced 1, forced 0, error <nil>")
		})
	}
}

func TestTheSecondSignalForces(t *testing.T) {
	p := startChild(t, "default")
	blocked := clienttest.Dial(t, p.address)
	blocked.Send(clienttest.Request("GET", "/blocked"))
	if got := p.line(); got != "blocked" {
		t.Fatalf("the process printed %q", got)
	}
	p.signal(syscall.SIGTERM)
	waitForClosedListener(t, p.address)
	p.signal(os.Interrupt)
	p.expectExit(3, "announced 0, forced 1, error "+stdlib.ErrDrainTimeout.Error())
}

func TestWithoutTheOptionASignalIsNotTouched(t *testing.T) {
	for _, kind := range []string{"none", "named"} {
		p := startChild(t, kind)
		get(t, clienttest.Dial(t, p.address), "/")
		p.signal(syscall.SIGTERM)
		err := p.command.Wait()
		status, ok := p.command.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
			t.Errorf("%s: the process ended with %v, want the signal", kind, err)
		}
	}
}

func waitForClosedListener(t testing.TB, address string) {
	t.Helper()
	clienttest.Eventually(t, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return true
		}
		c.Close()
		return false
	})
}
