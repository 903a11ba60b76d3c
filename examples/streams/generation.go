package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"time"
)

// generation is one server, from its first connection until it is empty.
type generation struct {
	leave  context.CancelFunc
	ended  chan struct{} // closed when its method has returned
	forced int
	err    error

	mu     sync.Mutex
	heard  map[string]bool // clients whose stream is here
	steady chan struct{}   // closed when all clients have been heard
}

// start serves the feed on a share of the socket.
func (r *run) start(socket *socket, feed *feed, clients int) *generation {
	ctx, leave := context.WithCancel(context.Background())
	g := &generation{leave: leave, ended: make(chan struct{}), heard: make(map[string]bool), steady: make(chan struct{})}
	a := &app{feed: feed, hear: func(client string) { g.hear(client, clients) }}
	server := &http.Server{
		Handler:  a.handler(),
		ErrorLog: log.New(io.Discard, "", 0), // a connection that was cut is counted by its client
	}
	go func() {
		defer close(g.ended)
		g.forced, g.err = r.method.serve(ctx, server, socket.share(), r.Timeout)
	}()
	return g
}

func (g *generation) hear(client string, clients int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.heard) == clients {
		return
	}
	g.heard[client] = true
	if len(g.heard) == clients {
		close(g.steady)
	}
}

// count returns how many clients have been heard.
func (g *generation) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.heard)
}

// settle waits until every client has moved here, and then for settleTime.
func (g *generation) settle(ctx context.Context, clients int) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	steady := g.steady
	for {
		select {
		case <-steady:
			steady = nil
			timer.Reset(settleTime)
		case <-timer.C:
			if steady == nil {
				return nil
			}
			return fmt.Errorf("%d of %d clients did not reach a new server within %v", clients-g.count(), clients, patience)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.ended:
			return fmt.Errorf("a server ended without being told to: %w", g.err)
		}
	}
}

// drain ends the generation and returns how long its method took for that.
func (g *generation) drain() (time.Duration, error) {
	began := time.Now()
	g.leave()
	<-g.ended
	return time.Since(began), g.err
}
