package restart

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Method is one way to end a server generation.
type Method struct {
	// Name is what the result calls it.
	Name string
	// Serve serves server on listener (over TLS if server.TLSConfig is set)
	// until ctx is done, then drains, and returns when the generation is empty.
	// It may change server's fields and wrap its Handler first. An error, or a
	// return before ctx is done, ends the run.
	//
	// Where the generations do not share a socket the listener is nil, and Serve
	// listens on server.Addr.
	Serve func(ctx context.Context, server *http.Server, listener net.Listener) error
	// Listening is where the listeners come from. Zero means SharedSocket.
	Listening Listening
}

// Listening is how the generations of a server come to listen on one address.
type Listening int

const (
	// SharedSocket gives each generation a descriptor of one socket, which is not
	// closed before the end.
	SharedSocket Listening = iota
	// Beside lets each generation listen for itself before the last one leaves.
	Beside
	// After lets each generation listen for itself when the last one has ended.
	After
)

// notice is how long the methods that are written by hand wait for clients to
// notice that the server is leaving.
const notice = 200 * time.Millisecond

// shutdownLimit bounds a Shutdown: Kubernetes kills after 30 s.
const shutdownLimit = 25 * time.Second

// Shutdown is plain http.Server.Shutdown.
func Shutdown() Method {
	return Method{Name: "shutdown", Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		return serveUntil(ctx, server, listener, func() {})
	}}
}

// KeepAlivesOff calls SetKeepAlivesEnabled(false), then Shutdown 200 ms later.
func KeepAlivesOff() Method {
	return Method{Name: "keepalives", Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		return serveUntil(ctx, server, listener, func() {
			server.SetKeepAlivesEnabled(false)
			time.Sleep(notice)
		})
	}}
}

// HeaderThenShutdown sets Connection: close on every response for 200 ms, with
// the listener open, and then calls Shutdown: what people write by hand.
func HeaderThenShutdown() Method {
	return Method{Name: "header", Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		var leaving atomic.Bool
		handler := server.Handler
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if leaving.Load() {
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		})
		return serveUntil(ctx, server, listener, func() {
			leaving.Store(true)
			time.Sleep(notice)
		})
	}}
}

// serveUntil serves until ctx is done, and calls prepare before Shutdown.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, prepare func()) error {
	served := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			served <- server.ServeTLS(listener, "", "")
		} else {
			served <- server.Serve(listener)
		}
	}()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	prepare()
	limited, cancel := context.WithTimeout(context.Background(), shutdownLimit)
	defer cancel()
	err := server.Shutdown(limited)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}
