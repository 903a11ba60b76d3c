package core

import (
	"context"
)

// CloseAfter asks, from within a handler, that the connection of the request with
// this context end after its response, and reports whether it will: false where
// there is no Controller in ctx, and where the header has left already. In the
// latter case the connection's next response announces instead, if there is a
// connection record to remember it on. On HTTP/2 it is the connection that ends,
// after all its streams.
//
// reason is counted in [Stats.Closes] if an [OnMatch] option declared it, and as
// [ReasonHandler] otherwise. A *gin.Context is not the request's context; pass
// c.Request.Context(). It costs a context lookup and may be called from any
// goroutine.
func CloseAfter(ctx context.Context, reason Reason) bool {
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		found.ask(found.ctl.declared(reason))
		if found.HTTP2() {
			return true
		}
		e := found.current.Load()
		return e != nil && e.state.Load()&stateCommitted == 0
	case *untracked:
		found.ask(found.controller().declared(reason))
		return found.state.Load()&stateCommitted == 0
	}
	return false
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
