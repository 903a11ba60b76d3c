package interop

import (
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// way is one way to stop a server on SIGTERM.
type way struct {
	name string
	// program is a server with these flags, and drain those of
	// internal/exampleserver that are about a drain.
	program func(t *testing.T, drain []string, flags ...string) []string
	// stays says that the server is not stopped before the end.
	stays bool
}

var (
	politeclose = way{name: "politeclose", program: func(t *testing.T, drain []string, flags ...string) []string {
		return slices.Concat([]string{build(t, exampleServer)}, drain, flags)
	}}
	shutdown = way{name: "Shutdown", program: func(t *testing.T, _ []string, flags ...string) []string {
		return slices.Concat([]string{self(t)}, flags)
	}}
	// What is lost with no restart at all is the client's or the proxy's own fault.
	noRestart = way{name: "no restart", program: politeclose.program, stays: true}
)

// restarts is how often every server is restarted.
func (w way) restarts() int {
	if w.stays {
		return 0
	}
	return restarts()
}

// compare runs the same with politeclose, which may lose nothing, and with plain
// Shutdown.
func compare(t *testing.T, run func(*testing.T, way) result) (plain result) {
	t.Helper()
	if polite := undisturbed(t, func() result { return measure(t, politeclose, run) }); polite.spoiled() {
		own := measure(t, noRestart, run)
		t.Errorf("%d requests were lost, and %d executed again; with no restart at all %d and %d", polite.lost, polite.repeated, own.lost, own.repeated)
	}
	return measure(t, shutdown, run)
}

// undisturbed is clienttest.Undisturbed for what may lose nothing.
func undisturbed(t *testing.T, measure func() result) result {
	t.Helper()
	return clienttest.Undisturbed(t, clienttest.Watched(measure), result.spoiled)
}

// spoiled reports whether a request was lost, or executed again.
func (r result) spoiled() bool { return r.lost > 0 || r.repeated > 0 }

// expectLoss fails the test unless plain Shutdown has lost something, which on a
// machine with much else to do may take some more runs.
func expectLoss(t *testing.T, plain result, run func(*testing.T, way) result) {
	t.Helper()
	for range 4 {
		if plain.lost > 0 {
			return
		}
		plain = measure(t, shutdown, run)
	}
	if plain.lost == 0 {
		t.Errorf("plain Shutdown lost none of %d requests: the traffic proves nothing", plain.requests)
	}
}

func measure(t *testing.T, way way, run func(*testing.T, way) result) (r result) {
	t.Run(way.name, func(t *testing.T) {
		r = run(t, way)
		t.Logf("%s, %d restarts: %v", t.Name(), way.restarts(), r)
	})
	return r
}

// letTrafficRun returns when clients have had some more answers.
func letTrafficRun(t *testing.T, b *book) {
	t.Helper()
	waitForMore(t, "answers", 200, b.answered)
}

func waitForMore(t *testing.T, what string, more int, count func() int) {
	t.Helper()
	enough := count() + more
	for end := time.Now().Add(patience); count() < enough; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v there are %d %s, want %d", patience, count(), what, enough)
		}
	}
}
