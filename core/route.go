package core

import (
	"context"
	"net/http"

	"github.com/politeclose/politeclose/core/internal/pattern"
)

// Route tells the pattern under which a router has registered what serves a
// request, in the router's own syntax. The method has the name that echo gave
// it, so that an echo.Context is a Route.
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

// mayHaveRoute reports whether the route has to be asked for. Where a part, or a
// Report, has given it, a handler that was given up may be writing the request's
// Pattern.
func (e *Exchange) mayHaveRoute() bool {
	return e.state.Load()&stateHasRoute == 0 && (e.rare != nil || e.request.Pattern != "")
}

// routePattern returns the router's pattern of the route that serves the
// request. The request is the handler's, but http.ServeMux has no other place.
func (e *Exchange) routePattern() string {
	if e.rare != nil && e.rare.route != nil {
		return e.rare.route.Path()
	}
	return e.request.Pattern
}

// routeRequest is what a set of patterns asks beside the route, as the request
// came. The request is the handler's by now, and is left alone where no pattern
// has a method or a host.
func (e *Exchange) routeRequest(patterns *pattern.Set) pattern.Request {
	switch {
	case !patterns.Conditional():
		return pattern.Request{}
	case e.rare != nil && e.rare.line != nil:
		return pattern.Request{Method: e.rare.line.method, Host: e.rare.line.host}
	case e.rare != nil && e.rare.given != nil:
		return lineOf(e.rare.given, patterns)
	}
	return lineOf(e.request, patterns)
}

// lineOf returns what the patterns ask beside the route of a request.
func lineOf(r *http.Request, patterns *pattern.Set) pattern.Request {
	if !patterns.Conditional() {
		return pattern.Request{}
	}
	return pattern.Request{Method: r.Method, Host: r.Host}
}

// sensitiveRoute asks OnRoutes about a route that has run. What handlers have
// changed in place since the request came may be why it was this one.
func (e *Exchange) sensitiveRoute(c *Controller, route string) bool {
	came := e.routeRequest(&c.routes)
	if c.routes.LooseRoute(route, came) {
		return true
	}
	if !c.routes.Conditional() {
		return false
	}
	now := pattern.Request{Method: e.request.Method, Host: e.request.Host}
	return now != came && c.routes.LooseRoute(route, now)
}

// lookAtRoute asks for the exchange's own route and notes which rules it meets.
func (e *Exchange) lookAtRoute(c *Controller) {
	route := e.routePattern()
	if route == "" {
		return
	}
	bits := uint32(stateRouted)
	if c.atRoutes&pattern.AtRoute(route) != 0 {
		if c.rules&hasRoutes != 0 && !e.sensitive() && e.sensitiveRoute(c, route) {
			bits |= stateSensitive
		}
		if c.rules&hasExempt != 0 && c.exempt.ExactRoute(route, e.routeRequest(&c.exempt)) {
			bits |= stateExemptRoute
		}
	}
	e.state.Or(bits)
}

// beginPart begins an exchange that is part of another one. Its request's path
// is looked at here and its route when it is known, both with its own method:
// whatever handler really ran decides whether a route was sensitive.
func (c *Controller) beginPart(owner *Exchange, r *http.Request) *Exchange {
	if owner == nil {
		return &nobodys
	}
	e := &struct {
		Exchange
		rare
		requestLine
	}{rare: rare{ctl: c, owner: owner}}
	e.kind, e.request, e.context, e.Exchange.rare = partKind, r, r.Context(), &e.rare
	if c.rules&needsRoute != 0 {
		e.requestLine, e.line = requestLine{r.Method, r.Host}, &e.requestLine
		owner.surround()
		if c.rules&hasRoutes != 0 && !owner.sensitive() && !c.routes.MissesPath(glanceAt(r)) && c.sensitivePath(r) {
			e.Sensitive()
		}
	}
	return &e.Exchange
}

// belongs reports whether the request of a part really is of the exchange that
// is under way on its connection. A server's request has a context of its own,
// which is done when its exchange is over: what is derived from it shares its
// Done channel, or is done no later. Background work with a context that is
// never done may be of an earlier exchange, and a handler that was given up (by
// http.TimeoutHandler) has no say in what is answered in its place.
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
	return done == e.context.Done() || done != nil && ctx.Err() == nil
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

// report hands the part's route to its owner, once.
func (e *Exchange) report() {
	c := e.rare.ctl
	if c.rules&needsRoute == 0 {
		return
	}
	before := e.state.Or(stateRouted)
	if before&stateRouted != 0 {
		return
	}
	route := e.routePattern()
	if route == "" {
		return
	}
	owner := e.rare.owner
	if c.rules&hasRoutes != 0 && !owner.sensitive() && e.sensitiveRoute(c, route) {
		e.Sensitive()
	}
	if before&stateElsewhere != 0 {
		return
	}
	owner.takeRoute(stateRouted, stateRouted|stateRoutedAhead, c.rules&hasExempt != 0 && c.exempt.ExactRoute(route, e.routeRequest(&c.exempt)))
}

// takeRoute takes note of whether the route that a part has given is one of
// Exempt, unless a router that stands further inside has given one.
//
//  1. One that gives its route ahead stands inside all that have given theirs
//     ahead before: the last one counts.
//  2. A part that will give its route later stands inside those, too, which
//     stateRoutedOutside says from then on. What is given ahead afterwards is
//     from further inside than the part itself.
//  3. When the response is written the innermost of these parts is the first to
//     give its route.
func (e *Exchange) takeRoute(when, unless uint32, exempt bool) {
	bits := when
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

// surround makes those that have given their route ahead the outer ones of a part
// that begins.
func (e *Exchange) surround() {
	for {
		state := e.state.Load()
		if state&stateRoutedAhead == 0 || e.state.CompareAndSwap(state, state&^stateRoutedAhead|stateRoutedOutside) {
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
