package interop

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// The other programs that users copy, once each behind nginx.
func TestExamplesRestartBehindNginx(t *testing.T) {
	for _, name := range []string{"chi", "gin", "echo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook()
			program := append([]string{example(t, name)}, serviceFlags(t)...)
			one := newReplica(t, b, true, program...)
			two := newReplica(t, b, true, program...)
			one.start()
			two.start()
			front := freeAddress(t)
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
			r := b.result(t)
			t.Logf("%s, 1 restart: %v", t.Name(), r)
			if r.lost > 0 {
				t.Errorf("%d requests were lost", r.lost)
			}
		})
	}
}

// example is a program of examples/, built once.
func example(t *testing.T, name string) string {
	t.Helper()
	build, _ := examples.LoadOrStore(name, sync.OnceValues(func() (string, error) {
		program := filepath.Join(exampleFolder, name)
		said, err := exec.Command("go", "build", "-o", program, "../../examples/"+name).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, said)
		}
		return program, err
	}))
	program, err := build.(func() (string, error))()
	if err != nil {
		t.Fatalf("go build ./examples/%s: %v", name, err)
	}
	return program
}

var examples sync.Map // name → func() (program string, err error)
