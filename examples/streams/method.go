package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// method is one way to serve a generation and to end it once ctx is done.
type method struct {
	name string
	// serve returns how many connections had to be cut.
	serve func(ctx context.Context, server *http.Server, listener net.Listener, timeout time.Duration) (forced int, err error)
}

// polite is the name of the method whose losses are a failure.
const polite = "politeclose"

func methods() []method {
	return []method{{"shutdown", shutdown}, {polite, politely}}
}

// idleGrace is shorter than the default because every client here comes again
// at once.
const idleGrace = 200 * time.Millisecond

func politely(ctx context.Context, server *http.Server, listener net.Listener, timeout time.Duration) (forced int, err error) {
	ctl, err := core.New(core.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return 0, err
	}
	server.Handler = stdlib.Middleware(ctl)(server.Handler)
	report, err := stdlib.Serve(ctx, server, ctl,
		stdlib.On(listener), stdlib.DrainTimeout(timeout), stdlib.IdleGrace(idleGrace))
	if errors.Is(err, stdlib.ErrDrainTimeout) {
		err = nil // it has cut some, which is counted
	}
	return report.Forced, err
}

// shutdown is plain http.Server.Shutdown, and then the end of the process, which
// cuts what Shutdown did not wait for.
func shutdown(ctx context.Context, server *http.Server, listener net.Listener, timeout time.Duration) (forced int, err error) {
	var open openConns
	server.ConnState = open.hook
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return 0, err
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := server.Shutdown(limited); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return 0, err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return 0, err
	}
	return open.cut(), server.Close()
}

// openConns are the connections of a process, hijacked ones included.
type openConns struct{ all sync.Map }

func (o *openConns) hook(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		o.all.Store(c, nil)
	case http.StateClosed:
		o.all.Delete(c)
	}
}

func (o *openConns) cut() (count int) {
	o.all.Range(func(c, _ any) bool {
		if c.(net.Conn).Close() == nil { // whoever hijacked it had not closed it
			count++
		}
		return true
	})
	return count
}
