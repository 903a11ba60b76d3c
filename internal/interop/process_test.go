package interop

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for something that is certain to come.
const patience = 30 * time.Second

// process is a child process. It ends with the test at the latest, and what it
// said is in the log of a test that failed.
type process struct {
	*exec.Cmd
	t     *testing.T
	input io.WriteCloser
	said  output
	ended chan struct{} // closed once it has been waited for
	err   error
}

// startProcess starts command. understands, if not nil, gets every line of the
// standard output, and reports whether it was of use; everything else is kept.
func startProcess(t *testing.T, command *exec.Cmd, understands func(line string) bool) *process {
	t.Helper()
	p := &process{Cmd: command, t: t, ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.said, &p.said
	if understands != nil {
		p.Stdout = &lines{understands: understands, rest: &p.said}
	}
	// For what was said last. Children of the process that stay keep its output open.
	p.WaitDelay = 10 * time.Second
	p.SysProcAttr = processAttributes()
	var err error
	if p.input, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.Wait()
	}()
	t.Cleanup(p.end)
	return p
}

// end ends the process whatever it is doing.
func (p *process) end() {
	p.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Errorf("%v did not end on SIGTERM", p.Args)
		kill(p.Process)
		<-p.ended
	}
	if p.t.Failed() {
		p.t.Logf("%v ended with %v and said:\n%s", p.Args, p.err, p.said.tail())
	}
}

// expectEnd waits until the process has ended by itself, with status 0.
func (p *process) expectEnd() {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%v still runs after %v", p.Args, patience)
	}
	if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
		p.t.Errorf("%v: %v", p.Args, p.err)
	}
}

// terminate sends SIGTERM.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("%v: %v", p.Args, err)
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// output keeps what a process says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) tail() string {
	const enough = 4 << 10
	text := o.String()
	return text[max(0, len(text)-enough):]
}

// lines hands complete lines on, and those that are not understood to the rest.
type lines struct {
	understands func(string) bool
	rest        io.Writer
	begun       []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.begun = append(l.begun, b...)
	for {
		end := bytes.IndexByte(l.begun, '\n')
		if end < 0 {
			return len(b), nil
		}
		if !l.understands(string(l.begun[:end])) {
			l.rest.Write(l.begun[:end+1])
		}
		l.begun = l.begun[end+1:]
	}
}

// find returns the path of the first program that there is. The test is skipped
// where there is none.
func find(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed; .ci/run installs it on Debian", names[0])
	return ""
}

// self is the test binary.
func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
