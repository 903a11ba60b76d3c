package core

import "runtime"

// Route tells the pattern under which a router has registered what serves a
// request, in the router's own syntax. The method has the name that echo gave it,
// so that an echo.Context is a Route.
type Route interface{ Path() string }

type routeFunc func() string

func (f routeFunc) Path() string { return f() }

type knownRoute string

func (r knownRoute) Path() string { return string(r) }

// SetRoute gives the router's own pattern of the route that serves the request,
// which [OnRoutes] and [Exempt] match. It is asked at most once, at the commit
// point, and only where there is such a rule; a nested exchange is asked no
// later than its End, because routers recycle their contexts. Without SetRoute
// the request's Pattern field is used, which http.ServeMux sets.
//
// An empty pattern means that no route was found. The innermost exchange wins.
// A nil function changes nothing.
func (e *Exchange) SetRoute(pattern func() string) {
	if pattern != nil {
		e.UseRoute(routeFunc(pattern))
	}
}

// UseRoute is [Exchange.SetRoute] for a router whose own context knows the
// pattern. It spares the allocation of a function. A nil Route changes nothing.
func (e *Exchange) UseRoute(route Route) {
	if route == nil {
		return
	}
	e.route = route
	if owner := e.owner(); owner != nil {
		owner.adopt((*nestedRoute)(e))
	}
}

// nestedRoute is the route of a nested exchange. Once that was given up, its
// router goes on with a context of its own that nobody else may look at.
type nestedRoute Exchange

func (n *nestedRoute) Path() string {
	if n.request.Context().Err() != nil {
		return ""
	}
	return n.route.Path()
}

// adopt takes the route of a nested exchange, which may be on another goroutine
// than the commit: below http.TimeoutHandler. The lock is a bit of the state, which
// costs nothing where nothing is nested.
func (e *Exchange) adopt(route Route) {
	for {
		state := e.state.Load()
		if state&stateCommitted != 0 {
			return
		}
		if state&stateAdopting == 0 && e.state.CompareAndSwap(state, state|stateAdopting) {
			break
		}
		runtime.Gosched()
	}
	e.route = route
	e.state.And(^uint32(stateAdopting))
}

// awaitAdopted waits for who is just handing a route on.
func (e *Exchange) awaitAdopted() {
	for e.state.Load()&stateAdopting != 0 {
		runtime.Gosched()
	}
}

// freezeRoute asks for the route that a nested exchange gave while that still can
// be answered.
func (e *Exchange) freezeRoute(c *Controller, nested *Exchange) {
	if e.route != nil && nested.route != nil && e.state.Load()&stateCommitted == 0 && c.rules&needsRoute != 0 {
		e.adopt(knownRoute(e.route.Path()))
	}
}

// routePattern returns the router's pattern of the route that serves the request.
// It is for an exchange that has committed: from then on nothing is adopted.
func (e *Exchange) routePattern() string {
	if e.route != nil {
		return e.route.Path()
	}
	return e.request.Pattern
}
