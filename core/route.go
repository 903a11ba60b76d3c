package core

import (
	"context"
	"errors"
	"net/http"

	"github.com/politeclose/politeclose/core/internal/pattern"
)

// Route tells the pattern under which a router has registered what serves a
// request, in the router's own syntax. One that has a Method() string, or a
// Request() *http.Request, is also asked for the request's method as the router
// has compared it, where a pattern of [OnRoutes] has one: middleware may have
// changed it. The names are those that echo gave them, so that an echo.Context is
// a Route.
type Route interface{ Path() string }

type routeFunc func() string

func (f routeFunc) Path() string { return f() }

// SetRoute gives the router's own pattern of the route that serves the request,
// which [OnRoutes] and [Exempt] match. It is asked at most once, on the
// goroutine that serves the request, at the first write through
// [Exchange.Writer] or at End, and only where there is such a rule. Without
// SetRoute the request's Pattern field is used, which http.ServeMux sets on the
// request that it gets: a handler in between that copies the request, as
// http.StripPrefix does, hides it.
//
// An empty pattern means that no route was found. All routes that an exchange
// and its parts give count for OnRoutes; for Exempt it is the innermost one of
// those that write its response. A nil function changes nothing.
func (e *Exchange) SetRoute(pattern func() string) {
	if pattern != nil {
		e.UseRoute(routeFunc(pattern))
	}
}

// UseRoute is [Exchange.SetRoute] for a router whose own context knows the
// pattern. It spares the allocation of a function. A nil Route changes nothing.
func (e *Exchange) UseRoute(route Route) {
	if route == nil || e.kind == noKind {
		return
	}
	if e.rare == nil {
		e.rare = new(rare)
	}
	e.rare.route = route
}

// mayHaveRoute reports whether the route has to be asked for: the one that an
// adapter has given, or net/http's. Where a part, or a Report, has given another
// one, a handler that was given up may be writing the request's Pattern.
func (e *Exchange) mayHaveRoute(state uint32) bool {
	return e.hasRoute() || state&stateHasRoute == 0 && e.request.Pattern != ""
}

// hasRoute reports whether an adapter has given a route that has not been asked
// for yet.
func (e *Exchange) hasRoute() bool {
	return e.rare != nil && e.rare.route != nil && !e.rare.asked.Load()
}

// routePattern returns the router's pattern of the route that serves the
// request. The request is the handler's, but http.ServeMux has no other place.
func (e *Exchange) routePattern() string {
	if e.rare != nil && e.rare.route != nil {
		return e.rare.route.Path()
	}
	return e.request.Pattern
}

// routeRequest is what patterns ask beside the route, as the request came. The
// request is the handler's by now: of it the method alone is read, and only where a
// pattern has one.
func (e *Exchange) routeRequest(c *Controller) (q pattern.Request) {
	if c.rules&byMethod == 0 {
		return q
	}
	q.RouteMethod = e.request.Method
	switch {
	case e.rare != nil && e.rare.line != nil:
		q.Method, q.Host = e.rare.line.method, e.rare.line.host
	case e.rare != nil && e.rare.given != nil:
		q.Method, q.Host = e.rare.given.Method, e.rare.given.Host
	default:
		q.Method = e.request.Method
	}
	if e.rare != nil && e.rare.route != nil {
		if method := methodOf(e.rare.route); method != "" {
			q.RouteMethod = method
		}
	}
	return q
}

// requestNow is routeRequest for a request that a router has just compared.
func (c *Controller) requestNow(r *http.Request) pattern.Request {
	if c.rules&byMethod == 0 {
		return pattern.Request{}
	}
	return pattern.Request{Method: r.Method, Host: r.Host}
}

// methodOf returns the method that a route's router has compared, "" where the
// route does not know it.
func methodOf(route Route) string {
	switch known := route.(type) {
	case interface{ Method() string }:
		return known.Method()
	case interface{ Request() *http.Request }:
		if r := known.Request(); r != nil {
			return r.Method
		}
	}
	return ""
}

// lookAtRoute asks for the exchange's own route, and returns state with what the
// rules say to it. It is noted where the response is being written. Before that
// the router may not have come to an end.
func (e *Exchange) lookAtRoute(c *Controller, state uint32) uint32 {
	if state&stateCommitted == 0 {
		if c.rules&hasRoutes != 0 && c.routes.LooseRoute(e.routePattern(), e.routeRequest(c), pattern.None) {
			state |= stateSensitive
		}
		return state
	}
	if e.hasRoute() && e.rare.asked.Swap(true) {
		return state
	}
	if e.noteRoute(c, e.routePattern(), stateRouted, func() pattern.Request { return e.routeRequest(c) }) {
		e.state.Or(stateSensitive)
	}
	return e.state.Load()
}

// noteRoute notes a route that has run, and reports whether it is sensitive, which
// the exchange did not know. request is what the patterns ask beside it. when is
// the state that says when the router gave it, 0 where it does not answer the
// exchange's response.
func (e *Exchange) noteRoute(c *Controller, route string, when uint32, request func() pattern.Request) (sensitive bool) {
	if route == "" {
		return false
	}
	exempt := false
	if c.atRoutes&pattern.AtRoute(route) != 0 {
		q := request()
		known, exemptKnown := e.sensitive(), e.state.Load()&stateExemptPath != 0
		sensitive = c.rules&hasRoutes != 0 && c.routes.LooseRoute(route, q, tallyOf(known)) && !known
		exempt = c.rules&hasExempt != 0 && c.exempt.ExactRoute(route, q, tallyOf(exemptKnown))
	}
	if when != 0 {
		e.noteExempt(when, exempt)
	}
	return sensitive
}

// tallyOf is what to count of a question whose answer has been yes before, as about
// the path: a pattern that has matched nothing else, so that it does not look unused.
func tallyOf(known bool) pattern.Tally {
	if known {
		return pattern.Unseen
	}
	return pattern.Each
}

// beginPart begins an exchange that is part of another one. Its request's path
// is looked at here and its route when it is known, both with its own method:
// whatever handler really ran decides whether a route was sensitive.
func (c *Controller) beginPart(owner *Exchange, r *http.Request) *Exchange {
	if owner == nil {
		return &nobodys
	}
	e := newLined(r)
	e.kind, e.request, e.context, e.rare.ctl, e.rare.owner = partKind, r, r.Context(), c, owner
	if c.rules&needsRoute != 0 {
		e.rare.inside = owner.surround()
		if owner.reachesSensitivePath(c, r) {
			e.Sensitive()
		}
	}
	return e
}

// reachesSensitivePath reports whether a request that a router gets is for a path
// of OnRoutes, which the exchange did not know: a handler may have changed it.
func (e *Exchange) reachesSensitivePath(c *Controller, r *http.Request) bool {
	if c.rules&hasRoutes == 0 || c.routes.MissesPath(glanceAt(r)) {
		return false
	}
	known := e.sensitive()
	return c.sensitivePath(r, tallyOf(known)) && !known
}

// belongs reports whether the request of a part really is of the exchange that
// is under way on its connection. A server's request has a context of its own,
// which is done when its exchange is over: what is derived from it shares its
// Done channel, or is done no later. Background work with a context that is
// never done may be of an earlier exchange, and a handler that was given up (by
// http.TimeoutHandler) has no say in what is answered in its place. A part whose
// writer leads to the exchange's own answers itself, whatever its context is.
//
// It is asked only where a part has something to say, because the first call of
// Done makes the channel.
func (e *Exchange) belongs() bool {
	owner := e.rare.owner
	if owner.state.Load()&stateEnded != 0 {
		return false
	}
	if e.rare.joined {
		return true
	}
	return owner.owns(e.context) ||
		owner.kind != ownKind && e.context.Done() == nil // a context that knows its exchange
}

// owns reports whether ctx is certain to be of the exchange while that is under
// way: whether it is the request's context, or one with an end of its own that
// has not come.
func (e *Exchange) owns(ctx context.Context) bool {
	done := ctx.Done()
	return done == e.context.Done() || done != nil && !e.outlives(ctx)
}

// outlives reports whether ctx, which may have been made of the request's context,
// came to an end of its own, as that of a handler that was given up. A client that
// has closed its own side, and may still read, ends the request's as well, and with
// it all that are made of it.
func (e *Exchange) outlives(ctx context.Context) bool {
	err := ctx.Err()
	return err != nil && !errors.Is(err, e.context.Err())
}

// joins makes an exchange that had begun on its own a part: its request's
// context did not tell, because a handler in between has put another one in its
// place.
func (e *Exchange) joins(owner *Exchange) {
	c := e.controller()
	c.shardOf(e.conn).Begun.Add(^uint64(0))
	switch e.kind {
	case ownKind:
		e.conn.requests.Add(^uint32(0))
		e.conn.current.CompareAndSwap(e, nil)
	case loneKind:
		c.untracked.Add(^uint64(0))
	}
	if e.rare == nil {
		e.rare = new(rare)
	}
	e.rare.ctl, e.rare.owner, e.rare.joined = c, owner, true
	e.kind, e.conn = partKind, nil
	if e.state.Load()&stateSensitive != 0 {
		owner.Sensitive()
	}
}

// report asks for a part's route, once, before its router recycles it.
func (e *Exchange) report() {
	c := e.controller()
	if c.rules&needsRoute == 0 || e.rare.asked.Swap(true) {
		return
	}
	when := uint32(stateRouted)
	if e.state.Load()&stateElsewhere != 0 {
		when = 0
	}
	route := e.routePattern()
	if e.rare.inside && (route == "" || when == 0) {
		e.rare.owner.surroundNoMore()
	}
	if e.decider().noteRoute(c, route, when, func() pattern.Request { return e.routeRequest(c) }) {
		e.Sensitive()
	}
}

// noteExempt takes note of whether the route that a part has given is one of
// Exempt, unless a router that stands further inside has given one.
//
//  1. One that gives its route ahead stands inside all that have given theirs
//     ahead before: the last one counts.
//  2. A part that will give its route later stands inside those, too, which
//     stateRoutedOutside says from then on. What is given ahead afterwards is
//     from further inside than the part itself. A part that gives none after all
//     takes that back.
//  3. When the response is written the innermost of these parts is the first to
//     give its route.
func (e *Exchange) noteExempt(when uint32, exempt bool) {
	bits, unless := when, uint32(stateRouted)
	if when == stateRouted {
		unless |= stateRoutedAhead
	}
	if exempt {
		bits |= stateExemptRoute
	}
	for {
		state := e.state.Load()
		if state&unless != 0 || e.state.CompareAndSwap(state, state&^stateExemptRoute|bits) {
			return
		}
	}
}

// surround makes those that have given their route the outer ones of what begins,
// and reports whether one had given it ahead.
func (e *Exchange) surround() (ahead bool) {
	for {
		state := e.state.Load()
		given := state & (stateRoutedAhead | stateRouted)
		if given == 0 || state&stateCommitted != 0 {
			return false
		}
		if e.state.CompareAndSwap(state, state&^given|stateRoutedOutside) {
			return given&stateRoutedAhead != 0
		}
	}
}

// surroundNoMore is for a part that turns out to have no route of the response: the
// one that was given ahead is the innermost one again, unless another was given.
func (e *Exchange) surroundNoMore() {
	for {
		state := e.state.Load()
		if state&(stateRouted|stateCommitted) != 0 || e.state.CompareAndSwap(state, state|stateRoutedAhead) {
			return
		}
	}
}

// Sensitive ends the connection after this response, with [ReasonRoute]: what
// the adapters' Sensitive middleware calls. Where the response's header has
// left already, the connection's next response announces, or on HTTP/2 a
// GOAWAY.
func (e *Exchange) Sensitive() {
	switch e.kind {
	case noKind:
	case partKind:
		if e.belongs() {
			e.rare.owner.Sensitive()
		}
	default:
		if before := e.state.Or(stateSensitive); before&(stateCommitted|stateSkipped) == stateCommitted {
			e.closeLate(routeIndex)
		}
	}
}
