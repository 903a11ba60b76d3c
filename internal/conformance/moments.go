package conformance

import (
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/servertest"
)

// testMoments is about when something happens in an exchange.
func (f Framework) testMoments(t *testing.T) {
	for _, p := range protocols {
		if p.clientCloses || p.name == "HTTP/1.0 keep-alive" { // whose streams end with the connection
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Run("a drain that begins while the handler runs is announced", func(t *testing.T) { f.drainMeanwhile(t, p) })
			t.Run("a drain that begins after the header has left is announced by the next response", func(t *testing.T) { f.drainLate(t, p) })
			t.Run("CloseAfter after the header has left is announced by the next response", func(t *testing.T) { f.closeAfterLate(t, p) })
			t.Run("a stream ends itself when a drain begins", func(t *testing.T) { f.leave(t, p) })
		})
	}
	t.Run("without connection records, installed twice", f.untracked)
	t.Run("without connection records, of an aborted response that counts which has left", f.abortedUntracked)
}

// moment is a program whose handler stops where the test wants it.
type moment struct {
	ctl     *core.Controller
	client  client
	reached chan struct{} // the handler is there
	resume  chan struct{} // closed, lets it go on
}

func (f Framework) atMoment(t *testing.T, p protocol, handler func(m *moment, w http.ResponseWriter, r *http.Request)) *moment {
	m := &moment{ctl: servertest.NewController(t), reached: make(chan struct{}), resume: make(chan struct{})}
	stop := Route{Method: http.MethodGet, Path: "/stop", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler(m, w, r) })}
	server := serve(t, f.New(t, App{Controller: m.ctl, Placement: Outermost, Layer: Timeout, Routes: append(f.reasonRoutes(), stop)}), m.ctl)
	m.client = p.dial(server)
	t.Cleanup(m.client.close)
	return m
}

// pause is called by the handler.
func (m *moment) pause() {
	close(m.reached)
	<-m.resume
}

// during sends the request and calls do while its handler pauses.
func (m *moment) during(do func()) answer {
	answered := make(chan answer, 1)
	go func() { answered <- m.client.do(to("GET /stop")) }()
	select {
	case <-m.reached:
	case a := <-answered:
		return a // the handler was not reached
	}
	do()
	close(m.resume)
	return <-answered
}

func (f Framework) drainMeanwhile(t *testing.T, p protocol) {
	m := f.atMoment(t, p, func(m *moment, w http.ResponseWriter, r *http.Request) {
		m.pause()
		write(w, r)
	})
	mustClose(t, p, m.client, m.during(m.ctl.Drain))
}

func (f Framework) drainLate(t *testing.T, p protocol) {
	m := f.atMoment(t, p, func(m *moment, w http.ResponseWriter, r *http.Request) {
		flushFirst(w, r)
		m.pause()
	})
	mustKeep(t, m.client, m.during(m.ctl.Drain))
	mustClose(t, p, m.client, m.client.do(to("GET /plain")))
}

func (f Framework) closeAfterLate(t *testing.T, p protocol) {
	m := f.atMoment(t, p, func(m *moment, w http.ResponseWriter, r *http.Request) {
		flushFirst(w, r)
		if core.CloseAfter(r.Context(), core.ReasonHandler) != p.http2 {
			io.WriteString(w, "CloseAfter promised what it cannot keep")
		}
		m.pause()
	})
	a := m.during(func() {})
	if !p.http2 { // where the connection is told at once
		mustKeep(t, m.client, a)
		a = m.client.do(to("GET /plain"))
	}
	mustClose(t, p, m.client, a)
	if n := m.ctl.Stats().Closes[core.ReasonHandler]; n != 1 {
		t.Errorf("%d closes were counted", n)
	}
}

func (f Framework) leave(t *testing.T, p protocol) {
	m := f.atMoment(t, p, func(m *moment, w http.ResponseWriter, r *http.Request) {
		flushFirst(w, r)
		close(m.reached)
		<-core.Leaving(r.Context())
		io.WriteString(w, "bye")
	})
	a := m.during(m.ctl.Drain)
	mustKeep(t, m.client, a)
	mustClose(t, p, m.client, m.client.do(to("GET /plain")))
}

func (f Framework) untracked(t *testing.T) {
	ctl := servertest.NewController(t)
	handler := f.New(t, App{Controller: ctl, Placement: Twice, Layer: Timeout, Routes: f.reasonRoutes()})
	server := serve(t, handler, nil) // not tracked, and nobody's listener
	for _, p := range protocols {
		if p.clientCloses {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			before := ctl.Stats()
			c := p.dial(server)
			defer c.close()
			mustKeep(t, c, c.do(to("GET /plain")))
			mustClose(t, p, c, c.do(to("GET /sensitive/route")))
			after := ctl.Stats()
			grown := []uint64{
				after.Exchanges - before.Exchanges,
				after.Untracked - before.Untracked,
				after.Closes[core.ReasonRoute] - before.Closes[core.ReasonRoute],
			}
			if !slices.Equal(grown, []uint64{2, 2, 1}) {
				t.Errorf("two exchanges and one close without records were counted as %v", grown)
			}
		})
	}
}

// abortedUntracked aborts a response whose announcement has not left, and one whose
// has.
func (f Framework) abortedUntracked(t *testing.T) {
	ctl := servertest.NewController(t)
	ctl.Drain()
	abort := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	server := serve(t, f.New(t, App{Controller: ctl, Placement: Outermost, Routes: []Route{
		{Method: http.MethodGet, Path: "/silent", Handler: http.HandlerFunc(abort)},
		{Method: http.MethodGet, Path: "/held-back", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			write(w, r)
			abort(w, r)
		})},
		{Method: http.MethodGet, Path: "/flushed", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			flushFirst(w, r)
			abort(w, r)
		})},
		{Method: http.MethodGet, Path: "/long", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Write(large)
			abort(w, r)
		})},
	}}), nil)
	for _, p := range protocols {
		if p.clientCloses {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			for path, leaves := range map[string]bool{"/silent": false, "/held-back": false, "/flushed": true, "/long": true} {
				before := ctl.Stats().Closes[core.ReasonDrain]
				c := p.dial(server)
				if a := c.do(to("GET " + path)); a.final != leaves || !p.http2 && slices.Contains(a.connection, "close") != leaves {
					t.Errorf("%s was answered with %q, Connection: %q", path, shorten(a.transcript), a.connection)
				}
				c.close()
				want := uint64(0)
				if leaves {
					want = 1
				}
				if settle(func() int64 { return int64(ctl.Stats().InFlight) }, 0) != 0 {
					t.Error("the exchange is still in flight")
				}
				if n := ctl.Stats().Closes[core.ReasonDrain] - before; n != want {
					t.Errorf("%s: %d closes were counted", path, n)
				}
			}
		})
	}
}
