//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/restart"
	"github.com/politeclose/politeclose/stdlib"
)

// way is one way to leave an address to the next process. All of them listen with
// SO_REUSEPORT, so that the two can be there at a time.
type way struct {
	name  string
	serve func(ctx context.Context, srv *http.Server, listening func()) error
}

// best is the name of the way whose losses are a failure.
const best = "reuseport"

func ways() []way {
	return []way{
		{"shutdown", shutdown},
		{"closed", closedAtOnce},
		{best, reusePort},
	}
}

// closedAtOnce drains the connections like reusePort and closes the listening socket
// at once, as Serve does with one that it did not open itself.
func closedAtOnce(ctx context.Context, srv *http.Server, listening func()) error {
	listener, err := restart.ListenBeside(srv.Addr)
	if err != nil {
		return err
	}
	ctl, err := core.New()
	if err != nil {
		return err
	}
	_, err = stdlib.Serve(ctx, srv, ctl, stdlib.On(listener), stdlib.OnListening(func(net.Addr) { listening() }))
	return err
}

// shutdown is http.Server.Shutdown.
func shutdown(ctx context.Context, srv *http.Server, listening func()) error {
	listener, err := restart.ListenBeside(srv.Addr)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	listening()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	err = srv.Shutdown(limited)
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// answer sends a request's number back.
func answer(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // cut off on its way
	}
	io.WriteString(w, r.Header.Get("X-Request-Id"))
}
