package core

import (
	"context"
	"net/http"
)

// CloseAfter asks, from within a handler, that the connection of the request
// with this context end after its response, and reports whether it will: false
// where there is no Controller in ctx, where an adapter's Skipper leaves the
// request out, and where the header has left already on HTTP/1. In the latter
// two cases the connection's next response announces instead, if there is a
// connection record to remember it on. On HTTP/2 it is the connection that ends,
// after all its streams, and where the header has left it is told at once.
//
// reason is counted in [Stats.Closes] if an [OnMatch] option declared it, and
// as [ReasonHandler] otherwise. A *gin.Context is not the request's context;
// pass c.Request.Context(). It costs a context look-up and may be called from
// any goroutine.
func CloseAfter(ctx context.Context, reason Reason) bool {
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		found.ask(found.ctl.declared(reason))
		e := found.current.Load()
		return e != nil && e.state.Load()&(stateCommitted|stateSkipped) == 0
	case *scoped:
		return found.decider().closeAfter(found.controller().declared(reason))
	}
	return false
}

func (e *Exchange) closeAfter(reason reasonIndex) bool {
	switch {
	case e.conn != nil:
		e.conn.ask(reason)
	default:
		e.rare.scope.asked.CompareAndSwap(0, uint32(reason))
	}
	state := e.state.Load()
	switch {
	case state&stateSkipped != 0:
		return false
	case state&stateCommitted == 0:
		return true
	}
	if e.conn == nil || !e.conn.tells() || e.conn.bits.Load()&bitOpen == 0 {
		return false
	}
	e.closeLate(reason)
	return true
}

// declared returns the index of a reason that an OnMatch option declared, and
// the handler's for any other, so that counters stay bounded.
func (c *Controller) declared(r Reason) reasonIndex {
	for i := range c.matches {
		if index := c.matches[i].reason; c.reason(index) == r {
			return index
		}
	}
	return handlerIndex
}

// Announced reports whether the response to the request with this context
// announces the end of its connection, and why: for access logs, after the
// handler. Where nothing has been written yet it tells what an answer of 200
// would do now, but for the rules that share the [Budget], which are asked
// once, when the header leaves. It returns false where there is no Controller
// in ctx and, on HTTP/1, once the exchange is over.
//
// It costs a context look-up, and is for the goroutine that serves the request.
func Announced(ctx context.Context) (Reason, bool) {
	e := exchangeOf(ctx)
	if e == nil {
		return "", false
	}
	state := e.state.Load()
	reason := decidedIn(state)
	if state&stateCommitted == 0 {
		reason = e.foresee(e.controller())
	}
	if reason == 0 {
		return "", false
	}
	return e.controller().reason(reason), true
}

// foresee returns what the commit point will decide if nothing changes.
func (e *Exchange) foresee(c *Controller) reasonIndex {
	state := e.state.Load()
	if state&(stateClientCloses|stateSkipped) != 0 {
		return 0
	}
	var h http.Header
	if e.below != nil {
		h = e.touched(state) // a handler that http.TimeoutHandler has given up may be asking
	}
	reason, _ := e.decideOwn(c, h, http.StatusOK)
	return reason
}

// ConnectionID returns the id of the connection that the request with this
// context came over: the same in every [Event] and on the status page. It
// counts from 1 for each Controller, and is 0 where the connection has no
// record. It costs a context look-up and is safe for concurrent use.
func ConnectionID(ctx context.Context) uint64 {
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		return found.id
	case *scoped:
		if e := found.decider(); e.conn != nil {
			return e.conn.id
		}
	}
	return 0
}

// HasConnection reports whether the request with this context came over one of
// the connections that Stats counts as open or hijacked: false where it came to
// another Controller's server, or to one without. It is for who tells of this
// Controller over a server that may be another one's. It costs a context look-up
// and is safe for concurrent use.
func (c *Controller) HasConnection(ctx context.Context) bool {
	var conn *Connection
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		conn = found
	case *scoped:
		if conn = found.decider().conn; conn == nil {
			// A middleware of a Controller that is not the server's.
			return c.HasConnection(found.context)
		}
	}
	return conn != nil && conn.ctl == c && conn.bits.Load()&(bitOpen|bitHijacked) != 0
}
