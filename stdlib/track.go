package stdlib

import (
	"errors"
	"fmt"
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
// srv.Handler is no longer the value that was put there.
// srv.DisableGeneralOptionsHandler is set, and OPTIONS * answered in net/http's
// place, if it was not set before. srv.BaseContext, srv.ConnContext and
// srv.ConnState become functions that call the ones that were there.
//
// What is assigned to these fields afterwards, before the server serves, gets ours
// in front of it when it does, by the BaseContext hook. If that is replaced itself,
// the tracking goes on without what was replaced, which is said once and counted in
// [core.Stats.Impaired], and so is HTTP/2 that srv.Protocols turns on after Track,
// where it then goes past us (Go 1.27). Tracking a server twice with one Controller
// does nothing; with another one, and with nil arguments, it is an error.
//
// The server's connections are those of [Listener]: the BaseContext hook serves the
// listener that net/http hands to it, in our wrapping, and returns when the server
// has ended. So hooks and hijackers do not get a *net.TCPConn but a connection that
// embeds one. Write
//
//	if c, ok := c.(interface{ NetConn() net.Conn }); ok { … c.NetConn() }
//
// in place of c.(*net.TCPConn), once more below TLS, or ask for the methods:
// [syscall.Conn], SetKeepAliveConfig.
func Track(srv *http.Server, ctl *core.Controller) error {
	if _, err := track(srv, ctl); err != nil {
		return fmt.Errorf("politeclose: Track: %w", err)
	}
	return nil
}

// trackers knows the servers that are tracked, and forgets them with the server.
var trackers sync.Map // weak.Pointer[http.Server] → *tracker

// trackerOf returns nil for a server that is not tracked.
func trackerOf(srv *http.Server) *tracker {
	known, _ := trackers.Load(weak.Make(srv))
	t, _ := known.(*tracker)
	return t
}

func track(srv *http.Server, ctl *core.Controller) (*tracker, error) {
	switch {
	case srv == nil:
		return nil, errors.New("the server is nil")
	case ctl == nil:
		return nil, errors.New("the Controller is nil; make one with core.New")
	}
	key := weak.Make(srv)
	t := newTracker(ctl)
	if known, loaded := trackers.LoadOrStore(key, t); loaded {
		t = known.(*tracker)
		if t.ctl != ctl {
			return nil, errors.New("the server is tracked by another Controller; give it to one only")
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
	return t, t.installErr
}

// install makes srv a tracked server.
func (t *tracker) install(srv *http.Server) error {
	t.disown(srv)
	t.given = programsHooks{srv.BaseContext, srv.ConnContext, srv.ConnState}
	t.hooked = srv.BaseContext != nil || srv.ConnContext != nil || srv.ConnState != nil
	if err := t.installHTTP2(srv); err != nil {
		return err
	}
	t.answersOptions = !srv.DisableGeneralOptionsHandler
	srv.DisableGeneralOptionsHandler = true
	srv.RegisterOnShutdown(t.onShutdown)
	t.attach(srv)
	return nil
}
