package interop

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// The other routers, once each behind nginx.
func TestRoutersRestartBehindNginx(t *testing.T) {
	for _, name := range []string{"chi", "gin", "echo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := undisturbed(t, func() result {
				b := newBook()
				program := append([]string{build(t, exampleServer), "-router", name}, serviceFlags(t)...)
				one := newReplica(t, b, true, program...)
				two := newReplica(t, b, true, program...)
				one.start()
				two.start()
				front := servertest.FreeAddress(t)
				startNginx(t, front, one.address, two.address)
				stop := startGo(t, traffic{url: "http://" + front + "/", workers: 16, think: 2 * time.Millisecond, answer: answer}, b)
				for _, r := range []*replica{one, two} {
					letTrafficRun(t, b)
					r.restart()
				}
				letTrafficRun(t, b)
				stop()
				one.stop()
				two.stop()
				return b.result(t)
			})
			t.Logf("%s, 1 restart: %v", t.Name(), r)
			if r.lost > 0 {
				t.Errorf("%d requests were lost", r.lost)
			}
		})
	}
}

// The programs that users copy: the sensitive routes end their connections, and
// SIGTERM the program.
func TestExamplesServeAndDrain(t *testing.T) {
	for _, name := range []string{"stdlib", "chi", "gin", "echo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newReplica(t, newBook(), false, build(t, "examples/"+name))
			server.start()
			kept := clienttest.Dial(t, server.address)
			for path, body := range map[string]string{"/": "hello\n", "/readyz": "ready\n"} {
				response := kept.Get(path)
				kept.ExpectKept(response)
				if response.Body != body {
					t.Errorf("%s answers %q, want %q", path, response.Body, body)
				}
			}
			one := clienttest.Dial(t, server.address)
			one.ExpectClosed(one.Get("/accounts/7/keys"))
			two := clienttest.Dial(t, server.address)
			two.Send(clienttest.Request(http.MethodPost, "/login"))
			two.ExpectClosed(two.Receive())

			server.running.terminate()
			clienttest.Eventually(t, "the port is closed", func() bool {
				conn, err := net.Dial("tcp", server.address)
				if err == nil {
					conn.Close()
				}
				return err != nil
			})
			kept.ExpectClosed(kept.Get("/"))
			server.running.expectEnd()
		})
	}
}

// exampleServer is the program with the flags of examples/deploy.
const exampleServer = "internal/exampleserver"

// build returns a program of the repository, built once.
func build(t *testing.T, folder string) string {
	t.Helper()
	program := filepath.Join(programFolder, filepath.Base(folder))
	once(t, exec.Command("go", "build", "-o", program, "../../"+folder))
	return program
}

// once runs a command that builds something, once for all tests.
func once(t *testing.T, command *exec.Cmd) {
	t.Helper()
	run, _ := builds.LoadOrStore(command.String(), sync.OnceValue(func() error {
		said, err := command.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%v: %w\n%s", command, err, said)
		}
		return err
	}))
	if err := run.(func() error)(); err != nil {
		t.Fatal(err)
	}
}

var builds sync.Map // command line → func() error
