// Package chiadapter connects politeclose to the chi router.
//
//	r := chi.NewRouter()
//	r.Use(chiadapter.Middleware(ctl))
//	r.With(chiadapter.Sensitive(ctl)).Post("/login", login)
//
// The middleware works in a root Use, in With and Group, in sub-routers and in
// mounted routers. Wherever it stands, core.OnRoutes and core.Exempt see the
// whole pattern of the route that served the request, as chi writes it:
// "/accounts/{id}/keys", without a slash at its end. Where chi found no route (404,
// 405) there is none, or below a sub-router the sub-router's: "/accounts/*".
//
// On a server that stdlib.Serve or stdlib.Track knows, every response is decided
// about without it: the middleware then only supplies the route. On any other
// server put it first in the root router's Use, since it cannot see what is
// written above it.
//
// A handler that outlives its request, such as one that http.TimeoutHandler gave
// up, shares chi's recycled routing context with a later request; that is a data
// race in chi alone, too, so http.TimeoutHandler belongs around one route's
// handler or around the whole router, not into a root Use.
package chiadapter

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/politeclose/politeclose/core"
)

// Middleware returns a middleware that supplies chi's route pattern, and on a
// server that is not tracked ends the connections that ctl's rules name, announced
// on their last response. Installed twice it counts nothing twice.
//
// With a nil ctl it returns the next handler unchanged. It costs one allocation
// per request, on a tracked server only where a rule looks at routes, and it is
// safe for concurrent use.
func Middleware(ctl *core.Controller) func(http.Handler) http.Handler {
	return bridge(ctl, false)
}

// Sensitive returns a middleware that ends the connection after each response of
// the routes it is put on, with core.ReasonRoute. It needs no Middleware above it.
// A nil ctl, costs and concurrent use are as for [Middleware].
func Sensitive(ctl *core.Controller) func(http.Handler) http.Handler {
	return bridge(ctl, true)
}

func bridge(ctl *core.Controller, sensitive bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if ctl == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var found core.Route
			if routing := chi.RouteContext(r.Context()); routing != nil {
				found = (*route)(routing)
			}
			if w, supplied, ok := ctl.Supply(w, r, found, sensitive); ok {
				defer supplied.End()
				next.ServeHTTP(w, r)
				return
			}
			r, exchange := ctl.Begin(r)
			returned := false
			defer func() { exchange.EndAfter(returned) }()
			if sensitive {
				exchange.Sensitive()
			}
			exchange.UseRoute(found)
			next.ServeHTTP(exchange.Writer(w), r)
			returned = true
		})
	}
}

// route is a chi.Context as the core.Route that it is.
type route chi.Context

func (r *route) Path() string { return (*chi.Context)(r).RoutePattern() }

// Method is the one that chi compares: a middleware below ours may have changed it.
func (r *route) Method() string { return r.RouteMethod }
