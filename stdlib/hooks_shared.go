package stdlib

import (
	"context"
	"net"
	"net/http"
)

// programsHooks are what the program had in the fields of http.Server when it was
// tracked.
type programsHooks struct {
	baseContext func(net.Listener) context.Context
	connContext func(context.Context, net.Conn) context.Context
	connState   func(net.Conn, http.ConnState)
}

// disown takes another tracked server's hooks out of srv, which was made of that
// one's fields: they would take its listeners and connections for their own. What
// the program had there before is put in their place.
func (t *tracker) disown(srv *http.Server) {
	if same(srv.BaseContext, (*baseContextHook)(nil).call) {
		q := new(question)
		if srv.BaseContext(q); q.tracker != t {
			srv.BaseContext = q.tracker.given.baseContext
		}
	}
	if same(srv.ConnContext, (*connContextHook)(nil).call) {
		q := new(question)
		if srv.ConnContext(context.Background(), q); q.tracker != t {
			srv.ConnContext = q.tracker.given.connContext
		}
	}
	if same(srv.ConnState, (*connStateHook)(nil).call) {
		q := new(question)
		if srv.ConnState(q, http.StateNew); q.tracker != t {
			srv.ConnState = q.tracker.given.connState
		}
	}
}

// question is given to a hook of ours to learn whose it is.
type question struct {
	net.Listener
	net.Conn
	tracker *tracker
}

// Close is what both of them have.
func (*question) Close() error { return net.ErrClosed }

// answers reports whether the hook was only asked whose it is, and says so.
func (h *hook) answers(to any) bool {
	q, asked := to.(*question)
	if asked {
		q.tracker = h.tracker
	}
	return asked
}
