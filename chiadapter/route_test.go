package chiadapter_test

import (
	"net/http"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/politeclose/politeclose/chiadapter"
	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/conformance"
	"github.com/politeclose/politeclose/internal/servertest"
)

// keyPattern is not net/http's syntax, so that only the route can match it.
const keyPattern = "/accounts/{id:[0-9]+}/keys"

func empty(http.ResponseWriter, *http.Request) {}

func TestTheRouteIsTheWholePatternWhereverTheMiddlewareStands(t *testing.T) {
	type middlewares = func(http.Handler) http.Handler
	for name, register := range map[string]func(chi.Router, middlewares){
		"in the root's Use": func(r chi.Router, m middlewares) {
			r.Use(m)
			r.Get(keyPattern, empty)
			r.Get("/accounts/{id}", empty)
		},
		"in With": func(r chi.Router, m middlewares) {
			r.With(m).Get(keyPattern, empty)
			r.With(m).Get("/accounts/{id}", empty)
		},
		"in a Group": func(r chi.Router, m middlewares) {
			r.Group(func(r chi.Router) {
				r.Use(m)
				r.Get(keyPattern, empty)
				r.Get("/accounts/{id}", empty)
			})
		},
		"in a sub-router": func(r chi.Router, m middlewares) {
			r.Route("/accounts", func(r chi.Router) {
				r.Use(m)
				r.Get("/{id:[0-9]+}/keys", empty)
				r.Get("/{id}", empty)
			})
		},
		"above a sub-router": func(r chi.Router, m middlewares) {
			r.Use(m)
			r.Route("/accounts", func(r chi.Router) {
				r.Get("/{id:[0-9]+}/keys", empty)
				r.Get("/{id}", empty)
			})
		},
		"in a mounted router": func(r chi.Router, m middlewares) {
			accounts := chi.NewRouter()
			accounts.Use(m)
			accounts.Get("/{id:[0-9]+}/keys", empty)
			accounts.Get("/{id}", empty)
			r.Mount("/accounts", accounts)
		},
		"in both of two routers": func(r chi.Router, m middlewares) {
			accounts := chi.NewRouter()
			accounts.Use(m)
			accounts.Get("/{id:[0-9]+}/keys", empty)
			accounts.Get("/{id}", empty)
			r.Use(m)
			r.Mount("/accounts", accounts)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes(keyPattern))
			r := chi.NewRouter()
			register(r, chiadapter.Middleware(ctl))
			address := conformance.Serve(t, r, ctl)

			conn := clienttest.Dial(t, address)
			conn.ExpectKept(conn.Get("/accounts/7"))
			conn.ExpectClosed(conn.Get("/accounts/7/keys"))
		})
	}
}

func TestTheRouteIsTheOneThatServedAfterThePathWasRewritten(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/{page:log.n}"))
	r := chi.NewRouter()
	r.Use(chiadapter.Middleware(ctl), middleware.StripSlashes, middleware.GetHead)
	r.Get("/{page:log.n}", empty)
	address := conformance.Serve(t, r, ctl)

	conn := clienttest.Dial(t, address)
	conn.ExpectClosed(conn.Get("/login/"))
	conn = clienttest.Dial(t, address)
	conn.ExpectKept(conn.Get("/nothing/"))
}

func TestAskingWhatIsAnnouncedAboveASubRouterHidesNoRoute(t *testing.T) {
	for name, ofServer := range map[string]func(*core.Controller) *core.Controller{
		"a tracked server": func(ctl *core.Controller) *core.Controller { return ctl },
		"one that is not":  func(*core.Controller) *core.Controller { return nil },
	} {
		ctl := servertest.NewController(t, core.OnRoutes(keyPattern))
		r := chi.NewRouter()
		r.Use(chiadapter.Middleware(ctl), func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if reason, ok := core.Announced(r.Context()); ok {
					t.Errorf("%s: %s is announced before the route is known", name, reason)
				}
				next.ServeHTTP(w, r)
			})
		})
		r.Route("/accounts", func(r chi.Router) {
			r.Get("/{id:[0-9]+}/keys", empty)
		})
		conn := clienttest.Dial(t, conformance.Serve(t, r, ofServer(ctl)))
		conn.ExpectClosed(conn.Get("/accounts/7/keys"))
	}
}

func TestAMethodOverrideOnACopyBelowTheMiddlewareReachesItsRoute(t *testing.T) {
	override := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			overridden := r.Clone(r.Context())
			overridden.Method = http.MethodDelete
			next.ServeHTTP(w, overridden)
		})
	}
	for name, tracked := range map[string]bool{"a tracked server": true, "one that is not": false} {
		for pattern, closes := range map[string]bool{"DELETE /accounts/{id}": true, "/accounts/{id:[0-9]+}": true, "PUT /accounts/{id}": false} {
			ctl := servertest.NewController(t, core.OnRoutes(pattern))
			r := chi.NewRouter()
			r.Use(chiadapter.Middleware(ctl), override)
			r.Delete("/accounts/{id:[0-9]+}", empty)
			of := ctl
			if !tracked {
				of = nil
			}
			conn := clienttest.Dial(t, conformance.Serve(t, r, of))
			got := conn.Get("/accounts/7")
			if got.Status != http.StatusOK {
				t.Errorf("%s, %s: %d", name, pattern, got.Status)
			}
			conn.ExpectClosedIf(closes, got)
		}
	}
}

// A middleware that gives the whole router up after a time answers while it is
// still at work.
func TestARouterThatIsGivenUpIsNotAskedForItsRoute(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes(keyPattern, "POST /login"))
	answered := make(chan struct{})
	r := chi.NewRouter()
	r.Use(chiadapter.Middleware(ctl))
	r.Get(keyPattern, func(http.ResponseWriter, *http.Request) { <-answered })
	address := conformance.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, given *http.Request) {
		returned := make(chan struct{})
		go func() {
			defer close(returned)
			r.ServeHTTP(w, given)
		}()
		w.WriteHeader(http.StatusGatewayTimeout)
		answered <- struct{}{}
		<-returned
	}), ctl)
	conn := clienttest.Dial(t, address)
	if got := conn.Get("/accounts/7/keys"); got.Status != http.StatusGatewayTimeout || got.Connection != nil {
		t.Errorf("%d, %v", got.Status, got.Header)
	}
	conn.ExpectClosed(conn.Get("/accounts/7/keys")) // the route was found when the one before had been answered
}

func TestANilControllerChangesNothing(t *testing.T) {
	r := chi.NewRouter()
	r.Use(chiadapter.Middleware(nil), chiadapter.Sensitive(nil))
	r.Get("/", empty)
	conn := clienttest.Dial(t, conformance.Serve(t, r, nil))
	conn.ExpectKept(conn.Get("/"))
}

// chi's RoutePattern takes a trailing slash off.
func TestARouteWithATrailingSlashIsMatchedAsItIsWritten(t *testing.T) {
	r := chi.NewRouter()
	ctl := servertest.NewController(t, core.OnRoutes("/t/{id:[0-9]+}/"), core.OnRequestCount(1), core.Exempt("/health/", "/w/{id}/", "/sub/"))
	r.Use(chiadapter.Middleware(ctl))
	for _, pattern := range []string{"/t/{id:[0-9]+}/", "/health/", "/w/{id}/"} {
		r.Get(pattern, empty)
	}
	r.Route("/sub", func(r chi.Router) { r.Get("/", empty) })
	address := conformance.Serve(t, r, ctl)
	for path, closes := range map[string]bool{"/t/7/": true, "/health/": false, "/w/7/": false, "/sub/": false} {
		c := clienttest.Dial(t, address)
		c.ExpectClosedIf(closes, c.Get(path))
	}
	if n := ctl.Stats().Closes[core.ReasonRoute]; n != 1 {
		t.Errorf("%d connections were closed for their route", n)
	}
}
