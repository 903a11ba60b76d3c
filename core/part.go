package core

import "net/http"

// beginPart begins an exchange that is part of another one. Its request's path
// is looked at here and its route when it is known, both with its own method:
// whatever handler really ran decides whether a route was sensitive.
func (c *Controller) beginPart(owner *Exchange, r *http.Request) *Exchange {
	if owner == nil {
		return &nobodys
	}
	e := &struct {
		Exchange
		more
	}{more: more{ctl: c, owner: owner}}
	e.kind, e.request, e.context, e.Exchange.more = partKind, r, r.Context(), &e.more
	if c.rules&needsRoute != 0 {
		e.method, e.host = r.Method, r.Host
		if c.rules&hasRoutes != 0 && !owner.sensitive() && c.sensitivePath(r) {
			e.Sensitive()
		}
	}
	return &e.Exchange
}

// belongs reports whether the request of a part really is of the exchange that is
// under way on its connection. A server's request has a context of its own, which
// is done when its exchange is over: what is derived from it shares its Done
// channel, or is done no later. Background work with a context that is never done
// may be of an earlier exchange, and a handler that was given up (by
// http.TimeoutHandler) has no say in what is answered in its place.
//
// It is asked only where a part has something to say, because the first call of
// Done makes the channel.
func (e *Exchange) belongs() bool {
	owner := e.more.owner
	if owner.state.Load()&stateEnded != 0 {
		return false
	}
	done := e.context.Done()
	return done == owner.context.Done() || done != nil && e.context.Err() == nil ||
		done == nil && owner.kind != ownKind // a context that knows its exchange
}

// partWriter returns the writer of a part: one that reports the route on the
// goroutine that has it, just before the owner's commit point. Where no rule
// looks at routes it is w itself.
func (e *Exchange) partWriter(w http.ResponseWriter) http.ResponseWriter {
	if e.more.ctl.rules&needsRoute == 0 {
		return w
	}
	e.lookWhere(w)
	return e.wrap(w)
}

func (e *Exchange) lookWhere(w http.ResponseWriter) {
	if e.more.ctl.exchangeBelow(w) != e.more.owner {
		e.state.Or(stateElsewhere)
	}
}

// joins makes an exchange that had begun on its own a part: its request's context
// did not tell, because a handler in between has put another one in its place.
func (e *Exchange) joins(owner *Exchange) {
	c := e.controller()
	c.shard(e.conn).Begun.Add(^uint64(0))
	switch e.kind {
	case ownKind:
		e.conn.requests.Add(^uint32(0))
		e.conn.current.CompareAndSwap(e, nil)
	case loneKind:
		c.untracked.Add(^uint64(0))
	}
	joined := more{ctl: c, owner: owner}
	if m := e.more; m != nil {
		joined.scope, joined.route, joined.method, joined.host = m.scope, m.route, m.method, m.host
		*m = joined
	} else {
		e.more = &joined
	}
	e.kind, e.conn, e.context = partKind, nil, owner.context // the writer has proved it
	if e.state.Load()&stateSensitive != 0 {
		owner.Sensitive()
	}
}

// report hands the part's route to its owner, once.
func (e *Exchange) report() {
	c := e.more.ctl
	if c.rules&needsRoute == 0 {
		return
	}
	before := e.state.Or(stateRouted)
	if before&stateRouted != 0 {
		return
	}
	pattern := e.routePattern()
	if pattern == "" {
		return
	}
	owner, asked := e.more.owner, e.routeRequest()
	if c.rules&hasRoutes != 0 && !owner.sensitive() && c.routes.LooseRoute(pattern, asked) {
		e.Sensitive()
	}
	if before&stateElsewhere != 0 {
		return
	}
	// The innermost part reports first, and says what the response is of.
	bits := uint32(stateRouted)
	if c.rules&hasExempt != 0 && c.exempt.ExactRoute(pattern, asked) {
		bits |= stateExemptRoute
	}
	for {
		state := owner.state.Load()
		if state&stateRouted != 0 || owner.state.CompareAndSwap(state, state|bits) {
			return
		}
	}
}
