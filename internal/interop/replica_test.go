package interop

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/freeport"
)

// replica is one backend: an address, and one process after the other on it.
type replica struct {
	t       *testing.T
	address string
	// socket is the listening socket that all of its processes inherit; nil where
	// each one opens its own.
	socket *os.File
	// program is the command line without the address.
	program []string
	book    *book
	running *process
}

// newReplica returns a replica that has not been started. Its address is free.
func newReplica(t *testing.T, b *book, handOver bool, program ...string) *replica {
	t.Helper()
	r := &replica{t: t, program: program, book: b}
	listener, err := freeport.Listen("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	r.address = listener.Addr().String()
	if handOver {
		r.socket = share(t, listener)
	}
	listener.Close()
	return r
}

// start starts the next process and returns once it listens.
func (r *replica) start() {
	r.t.Helper()
	command := exec.Command(r.program[0], append(r.program[1:], "-addr", r.address)...)
	if r.socket != nil {
		// LISTEN_PID has to be the replica's own, as systemd would set it.
		command = exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, command.Args...)...)
		command.ExtraFiles = []*os.File{r.socket}
	}
	command.Env = append(os.Environ(), replicaVariable+"=1", "LISTEN_FDS=1")
	listens := make(chan struct{})
	listening := sync.OnceFunc(func() { close(listens) })
	r.running = startProcess(r.t, command, func(line string) bool {
		if strings.Contains(line, r.address) {
			listening()
			return true
		}
		return r.book.replica(line)
	})
	select {
	case <-listens:
	case <-r.running.ended:
		r.t.Fatalf("%v ended with %v instead of listening:\n%s", r.program, r.running.err, r.running.said.tail())
	case <-time.After(patience):
		r.t.Fatalf("%v does not listen after %v", r.program, patience)
	}
}

// stop drains the running process, and fails the test unless it ends with
// status 0.
func (r *replica) stop() {
	r.t.Helper()
	r.running.terminate()
	r.running.expectEnd()
	if report := strings.TrimSpace(r.running.said.String()); report != "" {
		r.t.Log(report)
	}
}

// restart starts the next process when the running one has ended, as "systemctl
// restart" and everybody with a fixed port does.
func (r *replica) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

// replace starts the next process first, as a supervisor does that hands the
// socket over.
func (r *replica) replace() {
	r.t.Helper()
	old := *r
	r.start()
	old.stop()
}

// share returns a descriptor of the listener's socket for child processes. It is
// in non-blocking mode, and nothing switches it: in blocking mode an Accept of
// one process could hold its thread when another one takes the connection.
func share(t *testing.T, listener *net.TCPListener) *os.File {
	t.Helper()
	file, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	descriptor, err := syscall.Dup(int(file.Fd()))
	if err == nil {
		syscall.CloseOnExec(descriptor)
		err = syscall.SetNonblock(descriptor, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	shared := os.NewFile(uintptr(descriptor), listener.Addr().String())
	t.Cleanup(func() { shared.Close() })
	return shared
}
