package core

import (
	"net/http"

	"github.com/politeclose/politeclose/core/internal/pattern"
)

// Route tells the pattern under which a router has registered what serves a
// request, in the router's own syntax. The method has the name that echo gave it,
// so that an echo.Context is a Route.
type Route interface{ Path() string }

type routeFunc func() string

func (f routeFunc) Path() string { return f() }

// SetRoute gives the router's own pattern of the route that serves the request,
// which [OnRoutes] and [Exempt] match. It is asked at most once, on the goroutine
// that serves the request, at the first write through [Exchange.Writer] or at
// End, and only where there is such a rule. Without SetRoute the request's
// Pattern field is used, which http.ServeMux sets on the request that it gets: a
// handler in between that copies the request, as http.StripPrefix does, hides it.
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
	if e.more == nil {
		e.more = new(more)
	}
	e.more.route = route
}

// ReportRoute asks the route now instead of at the first write: for a router
// that has found it before it calls its middleware, and whose writer w is not one
// of [Exchange.Writer]. It does nothing where the exchange decides itself, which
// is asked at its commit point.
func (e *Exchange) ReportRoute(w http.ResponseWriter) {
	if e.kind == partKind {
		e.lookWhere(w)
		e.report()
	}
}

func (e *Exchange) sensitive() bool { return e.state.Load()&stateSensitive != 0 }

// routePattern returns the router's pattern of the route that serves the
// request. The request is the handler's, but http.ServeMux has no other place.
func (e *Exchange) routePattern() string {
	if e.more != nil && e.more.route != nil {
		return e.more.route.Path()
	}
	return e.request.Pattern
}

// routeRequest is what patterns ask beside the route.
func (e *Exchange) routeRequest() pattern.Request {
	if e.more != nil && e.more.method != "" {
		return pattern.Request{Method: e.more.method, Host: e.more.host}
	}
	return pattern.Request{Method: e.request.Method, Host: e.request.Host}
}

// lookAtRoute asks for the exchange's own route and notes which rules it meets.
func (e *Exchange) lookAtRoute(c *Controller) {
	if e.state.Load()&stateRouted != 0 {
		return // a part has given it
	}
	route := e.routePattern()
	if route == "" {
		return
	}
	bits, asked := uint32(stateRouted), e.routeRequest()
	if c.rules&hasRoutes != 0 && !e.sensitive() && c.routes.LooseRoute(route, asked) {
		bits |= stateSensitive
	}
	if c.rules&hasExempt != 0 && c.exempt.ExactRoute(route, asked) {
		bits |= stateExemptRoute
	}
	e.state.Or(bits)
}

// exempted asks the route, or the path where the router gave none.
func exempted(state uint32) bool {
	if state&stateRouted != 0 {
		return state&stateExemptRoute != 0
	}
	return state&stateExemptPath != 0
}
