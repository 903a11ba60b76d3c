package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/freeport"
)

const patience = 20 * time.Second

// programVariable makes the test binary the program.
const programVariable = "POLITECLOSE_SYSTEMD"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// manager is systemd's side of sd_notify(3).
type manager struct{ *net.UnixConn }

func newManager(t *testing.T) manager {
	t.Helper()
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return manager{socket}
}

func (m manager) expect(t *testing.T, want string) {
	t.Helper()
	m.SetReadDeadline(time.Now().Add(patience))
	message := make([]byte, 1024)
	n, err := m.Read(message)
	if got := string(message[:n]); err != nil || got != want {
		t.Fatalf("the program told systemd %q (%v), want %q", got, err, want)
	}
}

// start starts the program as a service's process, with a listening socket of
// systemd's or nil.
func (m manager) start(t *testing.T, socket *os.File, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// LISTEN_PID has to be the program's own.
	command := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh", program}, args...)...)
	command.Env = append(os.Environ(), programVariable+"=1", "NOTIFY_SOCKET="+m.LocalAddr().String())
	if socket != nil {
		command.ExtraFiles = []*os.File{socket}
		command.Env = append(command.Env, "LISTEN_FDS=1")
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	context.AfterFunc(ctx, func() { command.Process.Kill() })
	t.Cleanup(func() {
		cancel()
		command.Wait()
	})
	return command
}

func stop(t *testing.T, command *exec.Cmd) {
	t.Helper()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}
}

func expectHello(t *testing.T, address string) {
	t.Helper()
	// Each over a connection of its own.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	response, err := client.Get("http://" + address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if said, err := io.ReadAll(response.Body); err != nil || strings.TrimSpace(string(said)) != "hello" {
		t.Fatalf("the program answered %q, %v", said, err)
	}
}

func TestTheNextInstanceIsReadyBeforeTheLastOneIsStopped(t *testing.T) {
	address, err := freeport.Address("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	m := newManager(t)
	a := m.start(t, nil, "-addr", address, "-reuse-port")
	m.expect(t, "READY=1")
	for range 3 {
		b := m.start(t, nil, "-addr", address, "-reuse-port")
		m.expect(t, "READY=1")
		stop(t, a)
		m.expect(t, "STOPPING=1")
		for range 20 {
			expectHello(t, address)
		}
		a = b
	}
	stop(t, a)
}

func TestASocketOfSystemdsOutlivesTheProgram(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	m := newManager(t)
	for range 2 {
		program := m.start(t, socket)
		m.expect(t, "READY=1")
		expectHello(t, listener.Addr().String())
		stop(t, program)
		m.expect(t, "STOPPING=1")
	}
}

func TestAnInstanceThatCannotListenIsNotReady(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	program := newManager(t).start(t, nil, "-addr", listener.Addr().String(), "-reuse-port")
	var exit *exec.ExitError
	if err := program.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the program ended with %v, want status 1", err)
	}
}
