package restart

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// idHeader carries a request's number, by which both sides count it.
const idHeader = "X-Request-Id"

// generation is one server, from its first accept until it is empty.
type generation struct {
	address string // on which it listens
	leave   context.CancelFunc
	ended   chan struct{} // closed when Serve has returned err
	err     error
	running atomic.Int64 // handlers

	heard  []atomic.Bool // from each client, at least once
	silent atomic.Int64  // clients not heard from
	steady chan struct{} // closed when none is left
}

// start serves the traffic's handler on listener, or on address where that is nil,
// and returns once the generation accepts.
func (r *run) start(ctx context.Context, listener net.Listener, address string) (*generation, error) {
	// The end of ctx stops the clients first, and only then a server.
	serving, leave := context.WithCancel(context.WithoutCancel(ctx))
	g := &generation{
		leave:  leave,
		ended:  make(chan struct{}),
		heard:  make([]atomic.Bool, r.Clients),
		steady: make(chan struct{}),
	}
	g.silent.Store(int64(r.Clients))

	accepting := make(chan struct{})
	server := &http.Server{
		Addr:      address,
		Handler:   r.handler(g),
		TLSConfig: r.serverTLS.Clone(),
		Protocols: r.serverProtocols(),
		// A connection that is cut short is counted, by its client.
		ErrorLog: log.New(io.Discard, "", 0),
		// net/http calls this right before it starts to accept.
		BaseContext: func(l net.Listener) context.Context {
			g.address = l.Addr().String()
			close(accepting)
			return context.Background()
		},
	}
	go func() {
		defer close(g.ended)
		g.err = r.Method.Serve(serving, server, listener)
	}()

	select {
	case <-accepting:
		return g, nil
	case <-g.ended:
		leave()
		return nil, g.failed()
	}
}

// settle lets the traffic run until every client has moved to this generation,
// and then for d: a restart amid the reconnects of the last one measures those.
func (g *generation) settle(ctx context.Context, d, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	steady := g.steady
	for {
		select {
		case <-steady:
			steady = nil
			timer.Reset(d)
		case <-timer.C:
			if steady != nil {
				return fmt.Errorf("restart: %d of %d clients did not reach a new generation within %v",
					g.silent.Load(), len(g.heard), patience)
			}
			return context.Cause(ctx) // of two that are ready select takes any
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.ended:
			return g.failed()
		}
	}
}

func (g *generation) hear(client int) {
	if !g.heard[client].Swap(true) && g.silent.Add(-1) == 0 {
		close(g.steady)
	}
}

// drain ends the generation and returns how long its Serve took to return.
func (g *generation) drain() (time.Duration, error) {
	if g.hasEnded() {
		return 0, g.failed()
	}
	began := time.Now()
	g.leave()
	<-g.ended
	took := time.Since(began)
	if g.err != nil {
		return took, fmt.Errorf("restart: drain: %w", g.err)
	}
	return took, nil
}

func (g *generation) hasEnded() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

func (g *generation) failed() error {
	return fmt.Errorf("restart: a server ended without being told to: %w", g.err)
}

// handler answers a request with its own number.
func (r *run) handler(g *generation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		g.running.Add(1)
		defer g.running.Add(-1)
		id := req.Header.Get(idHeader)
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			r.book.cutOff(id) // on its way: it has not reached us
			return
		}
		if client, ok := r.book.reached(id); ok {
			g.hear(client)
		}
		defer r.book.finished(id)
		if work := r.workTime(); work > 0 {
			time.Sleep(work)
		}
		io.WriteString(w, id)
	})
}

func (r *run) workTime() time.Duration {
	if r.SlowShare > 0 && rand.Float64() < r.SlowShare {
		return r.SlowHandler
	}
	return r.Handler
}
