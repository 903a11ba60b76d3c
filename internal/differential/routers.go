package differential

import (
	"context"
	"net/http"
	"path"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/politeclose/politeclose/chiadapter"
	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/ginadapter"
	"github.com/politeclose/politeclose/stdlib"
)

// The routes that every router of a program knows, besides /a and /item/….
const (
	sensitiveRoute = "/login"
	exemptRoute    = "/health"
)

// routed is the handler of a route. What is reported is a route that a rule must
// see, or must not where it is not.
func (e *env) routed(route string, here place, adapted bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := e.state(r)
		reported := adapted || r.Pattern != "" && (here.shared && !isPart(r) || here.sharedPart)
		if reported && !here.detached {
			switch {
			case route == exemptRoute:
				s.note(sawHealth)
			case route != sensitiveRoute || !e.p.rules.sensitiveMethod(r.Method):
			case adapted || isPart(r) || e.p.rules.sensitiveMethod(s.method):
				s.note(sawRoute)
			default:
				s.note(sawHiddenRoute)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// adapted is a router with our adapter, which looks at the path of every request.
func (e *env) adapted(here place, router http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.sawPath(here, r)
		router.ServeHTTP(w, r)
	})
}

// ours returns the Controller for an adapter, nil where there is none.
func (e *env) ours(here place) *core.Controller {
	if here.detached {
		return nil
	}
	return e.ctl
}

func mux(e *env, here place, next http.Handler) http.Handler {
	m := http.NewServeMux()
	for _, route := range []string{"/a", sensitiveRoute, exemptRoute, "/item/{id}"} {
		m.Handle(route, e.routed(route, here, false, next))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) == sensitiveRoute && here.shared &&
			(e.p.rules.sensitiveMethod(r.Method) || e.p.rules.route != "" && r.Header.Get(overrideField) != "") {
			// It also says so of a request that it redirects, with whatever method
			// the request has by then.
			e.state(r).note(sawHiddenRoute)
		}
		m.ServeHTTP(w, r)
	})
}

func politeMux(e *env, here place, next http.Handler) http.Handler {
	here.shared, here.sharedPart = true, true
	handler := mux(e, here, next)
	if ctl := e.ours(here); ctl != nil {
		handler = stdlib.Middleware(ctl)(handler)
	}
	return e.adapted(here, handler)
}

func chiRouter(e *env, here place, next http.Handler) http.Handler {
	return chiWith(e, here, next, false)
}

func politeChi(e *env, here place, next http.Handler) http.Handler {
	return e.adapted(here, chiWith(e, here, next, true))
}

func chiWith(e *env, here place, next http.Handler, adapted bool) http.Handler {
	here.shared, here.sharedPart = false, false // chi copies the request
	m := chi.NewRouter()
	if ctl := e.ours(here); adapted && ctl != nil {
		m.Use(chiadapter.Middleware(ctl))
	}
	for _, route := range []string{"/a", sensitiveRoute, exemptRoute, "/item/{id}"} {
		m.Handle(route, e.routed(route, here, adapted, next))
	}
	return m
}

// freshChi hides the routing context that chi shares with whatever a handler
// serves with its own.
func freshChi(ctx context.Context) context.Context {
	return context.WithValue(ctx, chi.RouteCtxKey, (*chi.Context)(nil))
}

func ginRouter(e *env, here place, next http.Handler) http.Handler {
	return ginWith(e, here, next, false)
}

func politeGin(e *env, here place, next http.Handler) http.Handler {
	handler := ginWith(e, here, next, true)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != sensitiveRoute+"/" { // which gin redirects, past its middleware
			e.sawPath(here, r)
		}
		handler.ServeHTTP(w, r)
	})
}

func ginWith(e *env, here place, next http.Handler, adapted bool) http.Handler {
	m := gin.New()
	if ctl := e.ours(here); adapted && ctl != nil {
		m.Use(ginadapter.Middleware(ctl))
	}
	for _, route := range []string{"/a", sensitiveRoute, exemptRoute, "/item/:id"} {
		serve := gin.WrapH(e.routed(route, here, adapted, next))
		m.Any(route, func(c *gin.Context) {
			if c.Param("id") == "alias" { // of the sensitive route
				c.Request.URL.Path = sensitiveRoute
				m.HandleContext(c)
				return
			}
			serve(c)
		})
	}
	return m
}

func echoRouter(e *env, here place, next http.Handler) http.Handler {
	return echoWith(e, here, next, false)
}

func politeEcho(e *env, here place, next http.Handler) http.Handler {
	return e.adapted(here, echoWith(e, here, next, true))
}

func echoWith(e *env, here place, next http.Handler, adapted bool) http.Handler {
	m := echo.New()
	if ctl := e.ours(here); adapted && ctl != nil {
		m.Use(echoadapter.Middleware(ctl))
	}
	for _, route := range []string{"/a", sensitiveRoute, exemptRoute, "/item/:id"} {
		m.Any(route, echo.WrapHandler(e.routed(route, here, adapted, next)))
	}
	return m
}
