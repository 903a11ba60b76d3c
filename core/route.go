package core

import (
	"context"
	"net/http"
	"reflect"

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

// supply gives e a route to be asked for when the response is written, as a part
// would that begins here and hands e's own writer on. r is the request that the
// router gets.
func (e *Exchange) supply(c *Controller, route Route, r *http.Request) {
	switch {
	case !c.conditional():
		if e.rare == nil {
			e.rare = new(rare)
		}
	case e.rare == nil:
		both := &struct {
			rare
			requestLine
		}{requestLine: requestLine{r.Method, r.Host, r}}
		e.rare, both.line = &both.rare, &both.requestLine
	default:
		e.rare.line = &requestLine{r.Method, r.Host, r}
	}
	e.rare.route = route
	e.surround()
}

// same reports whether two routes are one. Comparing might panic where a program
// has put a context of its own in the place of echo's.
func same(a, b Route) bool {
	return reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
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

// routeRequestNow is routeRequest as handlers have changed the request in place
// since it came.
func (e *Exchange) routeRequestNow(patterns *pattern.Set) pattern.Request {
	if e.rare != nil && e.rare.line != nil {
		return lineOf(e.rare.line.request, patterns)
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
func (e *Exchange) sensitiveRoute(c *Controller, route string, isOne func(*pattern.Set, string, pattern.Request) bool) bool {
	came, now := e.routeRequest(&c.routes), e.routeRequestNow(&c.routes)
	return isOne(&c.routes, route, came) || now != came && isOne(&c.routes, route, now)
}

// lookAtRoute asks for the exchange's own route, and returns state with what the
// rules say to it. It is noted where the response is being written. Before that
// the router may not have come to an end.
func (e *Exchange) lookAtRoute(c *Controller, state uint32) uint32 {
	if state&stateCommitted == 0 {
		if c.rules&hasRoutes != 0 && e.sensitiveRoute(c, e.routePattern(), (*pattern.Set).ForeseesRoute) {
			state |= stateSensitive
		}
		return state
	}
	if e.hasRoute() && e.rare.asked.Swap(true) {
		return state
	}
	if e.noteRoute(c, e.routePattern()) {
		e.state.Or(stateSensitive)
	}
	return e.state.Load()
}

// noteRoute notes a route that has run, for the exchange that decides, unless
// it answers another writer than that one's. It reports whether the route is
// sensitive, which that exchange did not know.
func (e *Exchange) noteRoute(c *Controller, route string) (sensitive bool) {
	if route == "" {
		return false
	}
	decider, exempt := e.decider(), false
	if c.atRoutes&pattern.AtRoute(route) != 0 {
		sensitive = c.rules&hasRoutes != 0 && !decider.sensitive() && e.sensitiveRoute(c, route, (*pattern.Set).LooseRoute)
		exempt = c.rules&hasExempt != 0 && c.exempt.ExactRoute(route, e.routeRequest(&c.exempt))
	}
	if e.kind != partKind || e.state.Load()&stateElsewhere == 0 {
		decider.noteExempt(stateRouted, stateRouted|stateRoutedAhead, exempt)
	}
	return sensitive
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
	e.kind, e.Exchange.request, e.context, e.Exchange.rare = partKind, r, r.Context(), &e.rare
	if c.rules&needsRoute != 0 {
		e.requestLine, e.line = requestLine{r.Method, r.Host, r}, &e.requestLine
		owner.surround()
		if owner.reachesSensitivePath(c, r) {
			e.Sensitive()
		}
	}
	return &e.Exchange
}

// reachesSensitivePath reports whether a request that a router gets is for a path
// of OnRoutes, which the exchange did not know: a handler may have changed it.
func (e *Exchange) reachesSensitivePath(c *Controller, r *http.Request) bool {
	return c.rules&hasRoutes != 0 && !e.sensitive() && !c.routes.MissesPath(glanceAt(r)) && c.sensitivePath(r)
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

// report asks for the route that an adapter has given, once, before its router
// recycles it.
func (e *Exchange) report() {
	c := e.controller()
	if c.rules&needsRoute == 0 || e.rare.asked.Swap(true) {
		return
	}
	if e.noteRoute(c, e.routePattern()) {
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
//     from further inside than the part itself.
//  3. When the response is written the innermost of these parts is the first to
//     give its route.
func (e *Exchange) noteExempt(when, unless uint32, exempt bool) {
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
