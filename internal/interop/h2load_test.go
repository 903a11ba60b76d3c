package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// h2load has no names for its requests, so both sides only count.
func TestRestartsUnderH2load(t *testing.T) {
	certificate := certificateFlags(t)
	for _, way := range []way{politeclose, shutdown} {
		t.Run("HTTP/1.1/"+way.name, func(t *testing.T) {
			t.Parallel()
			server := newReplica(t, newBook(), true, way.program(t, nil)...)
			load := restartUnderH2load(t, server, "http://"+server.address+"/", "--h1", "-c", "16")
			lost := load.started - load.succeeded
			t.Logf("%s, %d restarts: %d requests, %d executed, %d lost", t.Name(), restarts(), load.started, server.book.executions(), lost)
			if way.name == politeclose.name && (lost > 0 || load.succeeded != server.book.executions()) {
				t.Errorf("%d of %d requests succeeded, and %d were executed", load.succeeded, load.started, server.book.executions())
			}
		})
		t.Run("HTTP/2/"+way.name, func(t *testing.T) {
			t.Parallel()
			expectLosses(t, way, func() (lost int) {
				server := newReplica(t, newBook(), true, way.program(t, nil, certificate...)...)
				wire := startWire(t, server.address)
				load := restartUnderH2load(t, server, "https://"+wire.address+"/", "-c", "4", "-m", "8")
				return lostOnTheWire(t, wire, load.started, load.succeeded)
			})
		})
	}
}

// restartUnderH2load is restartUnder for h2load. It does not come back after a
// GOAWAY, so it is run again and again.
func restartUnderH2load(t *testing.T, server *replica, url string, flags ...string) *h2load {
	t.Helper()
	program := find(t, "h2load")
	body := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(body, requestBody, 0o600); err != nil {
		t.Fatal(err)
	}
	server.start()
	load := &h2load{command: slices.Concat([]string{program, "-n", "4000", "-d", body, url}, flags)}
	stop := load.start(t)
	letItRun := func() { waitForMore(t, "tenths of a run", 3, func() int { return int(load.tenths.Load()) }) }
	for range restarts() {
		letItRun()
		server.replace()
	}
	letItRun()
	stop()
	server.stop()
	return load
}

// h2load is one run after the other.
type h2load struct {
	command            []string
	tenths             atomic.Int64 // that it has said to be done
	started, succeeded int          // once it was stopped
}

// start returns the function that waits for the run under way.
func (h *h2load) start(t *testing.T) (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stopping:
				return
			default:
				if !h.run(t) {
					return
				}
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(stopping)
		<-stopped
	})
	t.Cleanup(stop) // for a test that fails
	return stop
}

func (h *h2load) run(t *testing.T) (ok bool) {
	var counts []string
	said := &output{}
	command := exec.CommandContext(t.Context(), h.command[0], h.command[1:]...)
	command.SysProcAttr = processAttributes()
	command.Stderr = said
	command.Stdout = &lines{rest: said, understands: func(line string) bool {
		if strings.HasPrefix(line, "progress: ") {
			h.tenths.Add(1)
		}
		if found := h2loadCounts.FindStringSubmatch(line); found != nil {
			counts = found
		}
		return false
	}}
	if err := command.Run(); err != nil || counts == nil {
		t.Errorf("h2load: %v\n%s", err, said.tail())
		return false
	}
	n, _ := strconv.Atoi(counts[1])
	h.started += n
	n, _ = strconv.Atoi(counts[2])
	h.succeeded += n
	return true
}

var h2loadCounts = regexp.MustCompile(`^requests: \d+ total, (\d+) started, \d+ done, (\d+) succeeded`)
