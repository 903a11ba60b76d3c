package differential

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// env is one run of a program, with or without us.
type env struct {
	t      testing.TB
	p      *program
	ctl    *core.Controller // nil without us
	states []*state
	chain  http.Handler // the stack and the handler
	caches []map[string]*cached

	// What the handler has to know of the stack above it.
	bottom         place
	strips, delays bool
	concurrent     bool // another request may be under way on the same connection

	address  string
	stop     context.CancelFunc // ends the server
	ended    chan error
	backends []*http.Server
	log      serverLog
	label    string // of all goroutines of the run

	last bool // a response was the server's last, in its drain

	mu      sync.Mutex
	drained bool
	kept    []keptLeaving
	queued  map[int][]func()
}

// keptLeaving is a Leaving channel that must be closed in the end.
type keptLeaving struct {
	number int
	left   <-chan struct{}
}

// newEnv starts the program's server. ctl is nil for a run without us.
func newEnv(t testing.TB, p *program, ctl *core.Controller, number int64) *env {
	e := &env{t: t, p: p, ctl: ctl, label: fmt.Sprint("run ", number), queued: make(map[int][]func())}
	for i, r := range p.requests {
		e.states = append(e.states, newState(i, r))
	}
	here := place{shared: true}
	places := []place{here}
	for _, l := range p.stack {
		here = here.below(layers[l])
		places = append(places, here)
		e.strips = e.strips || layers[l].strips
		e.delays = e.delays || layers[l].delays
	}
	e.bottom = here
	e.concurrent = p.http2
	e.chain = http.HandlerFunc(e.serve)
	for i, l := range slices.Backward(p.stack) {
		e.chain = layers[l].wrap(e, places[i], e.chain)
	}
	e.listen()
	return e
}

// start runs serve on a goroutine that bears the run's label, as do all that it
// starts.
func (e *env) start(serve func() error) <-chan error {
	ended := make(chan error, 1)
	pprof.Do(context.Background(), pprof.Labels("run", e.label), func(context.Context) {
		go func() { ended <- serve() }()
	})
	return ended
}

func (e *env) listen() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.t.Fatal(err)
	}
	e.address = l.Addr().String()
	srv := &http.Server{Handler: http.HandlerFunc(e.front), ErrorLog: log.New(&e.log, "", 0), Protocols: new(http.Protocols), IdleTimeout: time.Minute}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	ctx, cancel := context.WithCancel(context.Background())
	serve := func() error { return srv.Serve(l) }
	e.stop = func() { srv.Close() }
	if e.ctl != nil {
		switch e.p.served {
		case byServe:
			e.stop = cancel
			serve = func() error {
				report, err := stdlib.Serve(ctx, srv, e.ctl, stdlib.On(l), stdlib.AdvertiseKeepAlive(time.Second), stdlib.IdleGrace(clienttest.Patience), stdlib.DrainTimeout(2*clienttest.Patience))
				if err == nil && report.Forced > 0 {
					err = fmt.Errorf("%d connections were cut", report.Forced)
				}
				return err
			}
		case byTrack:
			e.track(srv)
			l = stdlib.Listener(l, e.ctl)
		case byTrackOnly:
			e.track(srv)
		case untracked:
			srv.Handler = stdlib.Middleware(e.ctl)(srv.Handler)
		}
	}
	ended := e.start(serve)
	e.ended = make(chan error, 1)
	e.t.Cleanup(func() {
		cancel()
		srv.Close()
	})
	go func() {
		err := <-ended
		if err == http.ErrServerClosed {
			err = nil
		}
		e.ended <- err
	}()
}

// end stops the servers of the program.
func (e *env) end() {
	e.stop()
	if err := receive(e.t, "the server has ended", e.ended); err != nil {
		e.t.Errorf("the server ended with %v", err)
	}
	for _, backend := range e.backends {
		backend.Close()
	}
}

func (e *env) track(srv *http.Server) {
	if err := stdlib.Track(srv, e.ctl); err != nil {
		e.t.Fatal(err)
	}
}

// front is the first handler of the program: it sees what net/http hands out.
func (e *env) front(w http.ResponseWriter, r *http.Request) {
	s := e.state(r)
	s.mu.Lock()
	s.handed++
	again := s.again
	s.mu.Unlock()
	if again {
		io.WriteString(w, "the last one")
		return
	}
	var background sync.WaitGroup
	e.mu.Lock()
	for _, work := range e.queued[s.number] {
		background.Go(work)
	}
	e.mu.Unlock()
	defer func() {
		background.Wait()
		s.mu.Lock()
		s.over = true
		s.mu.Unlock()
		s.finished.send()
	}()
	e.chain.ServeHTTP(w, r)
}

// background queues work for the time while a request is served.
func (e *env) background(number int, work func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queued[number] = append(e.queued[number], work)
}

func (e *env) state(r *http.Request) *state { return e.states[numberOf(r)] }

func (e *env) keep(number int, left <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = append(e.kept, keptLeaving{number, left})
}

func (e *env) drain()  { e.setDrained(true) }
func (e *env) resume() { e.setDrained(false) }

func (e *env) setDrained(drained bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drained = drained
	switch {
	case e.ctl == nil:
	case drained:
		e.ctl.Drain()
	default:
		e.ctl.Resume()
	}
}

func (e *env) draining() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.drained
}

// cacheContents prints all that the program's caches keep.
func (e *env) cacheContents() string {
	var b strings.Builder
	for i, entries := range e.caches {
		for _, key := range slices.Sorted(maps.Keys(entries)) {
			c := entries[key]
			fmt.Fprintf(&b, "cache %d: %s: %d %s %s\n", i, key, c.status, dump(c.header), shorten(string(c.body)))
		}
	}
	return b.String()
}

// serverLog is what a server says.
type serverLog struct {
	mu    sync.Mutex
	lines []string
}

// personal is what a server says of a connection, and of a writer.
var personal = regexp.MustCompile(`127\.0\.0\.1:\d+|\*[a-z]+\.[a-zA-Z0-9]+`)

func (l *serverLog) Write(p []byte) (int, error) {
	line, _, _ := bytes.Cut(p, []byte("\n")) // without a panic's stack
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, personal.ReplaceAllString(string(line), "somebody"))
	return len(p), nil
}

// said has the lines in a fixed order. Which file is blamed for a call of
// WriteHeader that is ignored is not compared where that was a middleware's of
// ours, which hands the call on.
func (e *env) said() []string {
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	lines := slices.Sorted(slices.Values(e.log.lines))
	if e.p.served == untracked || e.p.has(func(l layer) bool { return l.ours || l.adapted }) {
		for i := range lines {
			lines[i], _, _ = strings.Cut(lines[i], " from ")
		}
	}
	return lines
}
