package stdlib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"weak"

	"github.com/politeclose/politeclose/core"
)

// Track makes srv report its connections to ctl and puts a handler of ours in
// front of srv.Handler, which decides about every response; no middleware is
// needed then. It must be called before the server serves; [Serve] does it.
//
// srv.Handler is no longer the value that was put there. One that is assigned
// afterwards, before the server serves, gets our handler in front of it when it
// does. srv.DisableGeneralOptionsHandler is set, and OPTIONS * answered in
// net/http's place, if it was not set before.
//
// It sets srv.ConnContext, srv.ConnState and srv.BaseContext to functions that
// call the ones that were there; assigning them afterwards without calling these
// undoes the tracking. Tracking a server twice with one Controller does nothing;
// with another one, and with nil arguments, it is an error.
//
// Without [Listener] everything works but two things: a close may destroy the
// last response if the client had sent more (RFC 9112 §9.6), and a hijacked
// connection is no longer known.
func Track(srv *http.Server, ctl *core.Controller) error {
	_, err := track(srv, ctl)
	return err
}

// trackers knows the servers that are tracked, and forgets them with the server.
var trackers sync.Map // weak.Pointer[http.Server] → *tracker

func track(srv *http.Server, ctl *core.Controller) (*tracker, error) {
	switch {
	case srv == nil:
		return nil, errors.New("politeclose: Track: the server is nil")
	case ctl == nil:
		return nil, errors.New("politeclose: Track: the Controller is nil; make one with core.New")
	}
	key := weak.Make(srv)
	t := newTracker(ctl)
	if known, loaded := trackers.LoadOrStore(key, t); loaded {
		t = known.(*tracker)
		if t.ctl != ctl {
			return nil, errors.New("politeclose: Track: the server is tracked by another Controller; give it to one only")
		}
	} else {
		unlist := ctl.ListConnections(t.connections)
		runtime.AddCleanup(srv, func(key weak.Pointer[http.Server]) {
			trackers.Delete(key)
			unlist()
		}, key)
	}
	// Whoever else tracks the server meanwhile must not serve it half-tracked.
	t.installed.Do(func() { t.installErr = t.install(srv) })
	if t.installErr != nil {
		return nil, fmt.Errorf("politeclose: Track: %w", t.installErr)
	}
	return t, nil
}

// install sets the hooks of srv.
func (t *tracker) install(srv *http.Server) error {
	connContext, connState := srv.ConnContext, srv.ConnState
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if connContext != nil {
			if ctx = connContext(ctx, c); ctx == nil {
				return nil // net/http panics and names ConnContext
			}
		}
		if r := t.open(c); r != nil {
			ctx = r.Context(ctx)
		}
		return ctx
	}
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		t.setState(c, state, connState)
	}
	baseContext := srv.BaseContext
	srv.BaseContext = func(l net.Listener) context.Context {
		t.enter(srv)
		if baseContext != nil {
			return baseContext(l)
		}
		return context.Background()
	}
	t.answersOptions = !srv.DisableGeneralOptionsHandler
	srv.DisableGeneralOptionsHandler = true
	t.enter(srv)
	srv.RegisterOnShutdown(t.onShutdown)
	return t.installHTTP2(srv)
}
