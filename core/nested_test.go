package core

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"
)

// twice is a middleware installed twice.
func twice(c *Controller, inner func(*Exchange), next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		r, e := c.Begin(r)
		defer e.End()
		inner(e)
		next(e.Writer(w), r)
	}
}

func TestANestedMiddlewareSuppliesOnlyRouteAndReason(t *testing.T) {
	for _, proto := range []int{1, 2} {
		for name, tracked := range map[string]bool{"tracked": true, "untracked": false} {
			for supply, inner := range map[string]func(*Exchange){
				"the route": func(e *Exchange) { e.SetRoute(func() string { return "/users/:id" }) },
				"a reason":  (*Exchange).Sensitive,
			} {
				c := newController(t, OnRoutes("/users/:id"))
				var conn *Connection
				if tracked {
					conn = openConnection(c)
				}
				r := requestOn(conn, "/users/7")
				r.ProtoMajor = proto
				w := exchange(c, r, twice(c, inner, nothing))
				s := c.Stats()
				if !w.announces() || s.Closes[ReasonRoute] != 1 || s.Exchanges != 1 || s.InFlight != 0 {
					t.Errorf("HTTP/%d, %s, supplying %s: sent %v, %+v", proto, name, supply, w.sent, s)
				}
			}
		}
	}
}

func TestANestedRouteIsAskedBeforeItsRouterRecyclesIt(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	asked, recycled := 0, false
	w := exchange(c, requestOn(openConnection(c), "/users/7"), func(w http.ResponseWriter, r *http.Request) {
		twice(c, func(e *Exchange) {
			e.SetRoute(func() string {
				asked++
				if recycled {
					t.Error("asked after the router was done")
				}
				return "/users/:id"
			})
		}, nothing)(w, r)
		recycled = true
	})
	if !w.announces() || asked != 1 {
		t.Errorf("sent %v, asked %d times", w.sent, asked)
	}
}

func TestTheInnermostRouteWins(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	route := func(pattern string) func(*Exchange) {
		return func(e *Exchange) { e.SetRoute(func() string { return pattern }) }
	}
	for name, innermost := range map[string]func(*Exchange){
		"a function": route("/users/:id"),
		"a router":   func(e *Exchange) { e.UseRoute(routeFunc(func() string { return "/users/:id" })) },
	} {
		w := exchange(c, requestOn(openConnection(c), "/api/users/7"), twice(c, route("/api/*"), twice(c, innermost, nothing)))
		if !w.announces() {
			t.Errorf("as %s: sent %v", name, w.sent)
		}
	}
}

func TestARouteThatIsNilChangesNothing(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	w := exchange(c, requestOn(openConnection(c), "/api/users/7"), twice(c, func(e *Exchange) {
		e.SetRoute(func() string { return "/users/:id" })
		e.SetRoute(nil)
		e.UseRoute(nil)
	}, nothing))
	if !w.announces() {
		t.Errorf("sent %v", w.sent)
	}
}

func TestARouteIsAskedOnlyIfARuleWantsIt(t *testing.T) {
	c := newController(t)
	exchange(c, requestOn(openConnection(c), "/"), twice(c, func(e *Exchange) {
		e.SetRoute(func() string { t.Error("asked"); return "" })
	}, nothing))
}

func TestAMiddlewareThatCopiesTheHeadersDoesNotHideTheOuterOne(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)
	r := requestOn(conn, "/")
	r.ProtoMajor = 2
	c.Drain()
	w := exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
		twice(c, func(*Exchange) {}, nothing)(w, r.Clone(r.Context()))
	})
	if s := c.Stats(); !w.announces() || s.Exchanges != 1 || s.InFlight != 0 || s.Closes[ReasonDrain] != 1 {
		t.Errorf("sent %v, %+v", w.sent, s)
	}
}

func TestStreamsOfOneConnectionAreApart(t *testing.T) {
	c := newController(t, OnRoutes("/login"))
	conn := openConnection(c)
	stream := func(target string) *http.Request {
		r := requestOn(conn, target)
		r.ProtoMajor = 2
		return r
	}
	w := exchange(c, stream("/"), func(http.ResponseWriter, *http.Request) {
		if s := c.Stats(); s.InFlight != 1 {
			t.Errorf("%d in flight", s.InFlight)
		}
		exchange(c, stream("/login"), nothing)
	})
	if !w.announces() || c.Stats().Exchanges != 2 || c.Stats().Closes[ReasonRoute] != 1 {
		t.Errorf("the stream that ends after the mark sent %v; %+v", w.sent, c.Stats())
	}
	if conn.SetState(http.StateIdle) {
		t.Error("an HTTP/2 connection is closed instead of told GOAWAY")
	}
}

func TestAControllerIgnoresAnothersRecordsAndExchanges(t *testing.T) {
	mine, other := newController(t), newController(t)
	mine.Drain()
	conn := openConnection(other)
	w := exchange(other, requestOn(conn, "/"), twice(mine, func(*Exchange) {}, nothing))
	if !w.announces() || mine.Stats().Untracked != 1 || other.Stats().Exchanges != 1 {
		t.Errorf("sent %v; %+v; %+v", w.sent, mine.Stats(), other.Stats())
	}
}

func TestANilControllerDecidesNothing(t *testing.T) {
	var c *Controller
	w := exchange(c, requestOn(nil, "/"), nothing)
	if len(w.sent) != 0 {
		t.Errorf("sent %v", w.sent)
	}
}

func TestAPanicLeavesNoCounterBehind(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("%v came through", v)
			}
		}()
		_, e := c.Begin(requestOn(conn, "/"))
		defer e.End()
		e.Writer(newFakeWriter())
		panic(http.ErrAbortHandler)
	}()
	if s := c.Stats(); s.InFlight != 0 || s.Exchanges != 1 {
		t.Errorf("%+v", s)
	}
	if conn.current.Load() != nil {
		t.Error("the exchange is still on the record")
	}
}

func TestAPostponedResponseCommitsWhenItIsWritten(t *testing.T) {
	c := newController(t, OnStatus(500))
	conn := openConnection(c)
	inner := newFakeWriter()
	_, e := c.Begin(requestOn(conn, "/"))
	w := e.Writer(inner)
	e.Postpone()
	e.End()
	w.WriteHeader(500) // echo's error handler
	if !inner.announces() || !conn.SetState(http.StateIdle) {
		t.Errorf("sent %v", inner.sent)
	}
}

// As what echo's error handler answers below http.TimeoutHandler, whose writer keeps
// it or throws it away.
func TestAPostponedResponseThatWasGivenUpIsNotCountedAsAnnounced(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"with a status":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) },
		"without a status": func(w http.ResponseWriter) { io.WriteString(w, "failed") },
	} {
		for when, late := range map[string]bool{"in time": false, "too late": true} {
			c := newController(t)
			c.Drain()
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			_, e := c.Begin(requestOn(nil, "/").WithContext(ctx))
			w := e.Writer(bareWriter{newFakeWriter()})
			e.Postpone()
			e.End()
			if late {
				cancel()
			}
			answer(w)
			if n := c.Stats().Closes[ReasonDrain]; n == 0 != late {
				t.Errorf("%s, %s: %d closes are counted", name, when, n)
			}
		}
	}
}

func TestAPostponedResponseThatAHandlerAboveOvertookMakesTheNextOneAnnounce(t *testing.T) {
	c := newController(t, OnStatus(500))
	conn := openConnection(c)
	r := requestOn(conn, "/")
	ctx, cancel := context.WithCancel(r.Context())
	_, e := c.Begin(r.WithContext(ctx))
	w := e.Writer(newFakeWriter())
	e.Postpone()
	e.End()
	cancel()           // http.TimeoutHandler answers
	w.WriteHeader(500) // echo's error handler, into a header that goes nowhere
	if conn.SetState(http.StateIdle) {
		t.Fatal("a connection is closed whose client was not told")
	}
	if next := exchange(c, requestOn(conn, "/"), nothing); !next.announces() || !conn.SetState(http.StateIdle) {
		t.Error("the next response does not announce")
	}
}

// givenUp is a request as http.TimeoutHandler hands it on, after the time is
// up.
func givenUp(r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	return r.WithContext(ctx)
}

func TestTheRouterOfAHandlerThatWasGivenUpIsNotAsked(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	r := requestOn(openConnection(c), "/users/7")
	inner, cancel := context.WithCancel(r.Context())
	w := exchange(c, r, func(http.ResponseWriter, *http.Request) {
		_, nested := c.Begin(r.WithContext(inner))
		nested.SetRoute(func() string { t.Error("asked"); return "/users/:id" })
		cancel()
	})
	if w.announces() {
		t.Errorf("sent %v", w.sent)
	}
}

func TestAHandlerThatWasGivenUpMayGoOnBesideTheAnswer(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	for range 100 {
		r := requestOn(openConnection(c), "/")
		inner, cancel := context.WithCancel(r.Context())
		begun, done := make(chan struct{}), make(chan struct{})
		exchange(c, r, func(http.ResponseWriter, *http.Request) {
			go func() {
				defer close(done)
				_, nested := c.Begin(r.WithContext(inner))
				close(begun)
				for range 10 {
					nested.SetRoute(func() string { return "/users/:id" })
				}
				nested.End()
			}()
			<-begun
			cancel()
		})
		<-done
	}
	if s := c.Stats(); s.InFlight != 0 || s.Exchanges != 100 {
		t.Errorf("%+v", s)
	}
}

func TestAHandlerThatWasGivenUpHasNoSayInTheNextRequest(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	conn := openConnection(c)
	w := exchange(c, requestOn(conn, "/"), func(http.ResponseWriter, *http.Request) {
		late := newFakeWriter()
		_, e := c.Begin(givenUp(requestOn(conn, "/users/7")))
		e.SetRoute(func() string { return "/users/:id" })
		e.Sensitive()
		e.Writer(late).WriteHeader(200)
		e.End()
	})
	if s := c.Stats(); w.announces() || s.InFlight != 0 || s.Exchanges != 1 {
		t.Errorf("sent %v, %+v", w.sent, s)
	}
}

func TestAHandlerThatWasGivenUpHasNoSayOnceTheClientHasGoneAsWell(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	r := requestOn(openConnection(c), "/")
	ctx, clientGoes := context.WithCancel(r.Context())
	w := exchange(c, r.WithContext(ctx), func(w http.ResponseWriter, r *http.Request) {
		inner, cancel := context.WithDeadline(r.Context(), time.Unix(0, 0))
		defer cancel()
		clientGoes()
		late := r.WithContext(inner)
		if c.Report(w, late, "/users/:id", true) {
			t.Error("the route is taken")
		}
		_, e := c.Begin(late)
		e.SetRoute(func() string { return "/users/:id" })
		e.End()
	})
	if w.announces() {
		t.Errorf("sent %v", w.sent)
	}
}

// A middleware that sets a deadline, as chi's Timeout does, leaves the response to a
// handler that takes longer, whatever other writer is in between.
func TestARouteThatAnswersAfterADeadlineCounts(t *testing.T) {
	const route = "/users/:id"
	for name, router := range map[string]func(*Controller, func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request){
		"supplied": func(c *Controller, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
			return supplied(c, route, next)
		},
		"of a part": func(c *Controller, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
			return twice(c, func(e *Exchange) { e.SetRoute(func() string { return route }) }, next)
		},
		"below another writer": func(c *Controller, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
			return func(w http.ResponseWriter, r *http.Request) { supplied(c, route, next)(unwrapping{w}, r) }
		},
	} {
		for _, proto := range []int{1, 2} {
			c := newController(t, OnRoutes(route))
			r := requestOn(openConnection(c), "/")
			r.ProtoMajor = proto
			w := exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
				defer cancel()
				router(c, func(w http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					io.WriteString(w, "late")
				})(w, r.WithContext(ctx))
			})
			if !w.announces() {
				t.Errorf("%s, HTTP/%d: sent %v", name, proto, w.sent)
			}
		}
	}
}

func TestARouteIsTakenThoughTheClientHasGone(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	r := requestOn(openConnection(c), "/")
	ctx, clientGoes := context.WithCancel(r.Context())
	w := exchange(c, r.WithContext(ctx), func(w http.ResponseWriter, r *http.Request) {
		inner, cancel := context.WithTimeout(r.Context(), time.Hour)
		defer cancel()
		clientGoes()
		if !c.Report(w, r.WithContext(inner), "/users/:id", false) {
			t.Error("the route is not taken")
		}
	})
	if !w.announces() {
		t.Errorf("sent %v", w.sent)
	}
}

// otherKey is the key of a value that a middleware adds.
type otherKey struct{}

func TestARouterThatKnowsTheRouteAheadOnlyReportsIt(t *testing.T) {
	for _, proto := range []int{1, 2} {
		for name, report := range map[string]struct {
			route     string
			sensitive bool
			announces bool
		}{
			"a sensitive route":       {"/users/:id", false, true},
			"another one":             {"/users/:id/photo", false, false},
			"another, said sensitive": {"/users/:id/photo", true, true},
		} {
			c := newController(t, OnRoutes("/users/:id"))
			r := requestOn(openConnection(c), "/users/7")
			r.ProtoMajor = proto
			w := exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
				for _, r := range []*http.Request{r, r.Clone(context.WithValue(r.Context(), otherKey{}, nil))} {
					if !c.Report(w, r, report.route, report.sensitive) {
						t.Errorf("HTTP/%d, %s: not taken", proto, name)
					}
				}
			})
			if s := c.Stats(); w.announces() != report.announces || s.Exchanges != 1 || s.InFlight != 0 {
				t.Errorf("HTTP/%d, %s: sent %v, %+v", proto, name, w.sent, s)
			}
		}
	}
}

func TestAReportSaysWhenThereIsNobodyToTakeIt(t *testing.T) {
	c := newController(t)
	w, r := newFakeWriter(), requestOn(openConnection(c), "/")
	r, e := c.Begin(r)
	own := e.Writer(w)
	for name, report := range map[string]struct {
		c     *Controller
		w     http.ResponseWriter
		r     *http.Request
		route string
	}{
		"a nil Controller":     {nil, own, r, "/"},
		"another Controller":   {newController(t), own, r, "/"},
		"no route":             {c, own, r, ""},
		"a recorder":           {c, newFakeWriter(), r, "/"},
		"another's request":    {c, own, requestOn(openConnection(c), "/"), "/"},
		"one without a record": {c, own, requestOn(nil, "/"), "/"},
		"a handler given up":   {c, own, givenUp(r), "/"},
	} {
		if report.c.Report(report.w, report.r, report.route, true) {
			t.Errorf("%s: taken", name)
		}
	}
	came := r.Context()
	*r = *r.WithContext(context.Background())
	if c.Report(own, r, "/", true) {
		t.Error("taken for a context that the exchange does not know")
	}
	*r = *r.WithContext(came)
	e.End()
	if c.Report(own, r, "/", true) {
		t.Error("taken after the end")
	}
	if s := c.Stats(); s.Closes[ReasonRoute] != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheInnermostRouteIsExemptInWhateverOrderItIsKnown(t *testing.T) {
	// A middleware whose router knows the route ahead reports it when it begins,
	// one of another router when the response is written.
	ahead := func(c *Controller, route string, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			if !c.Report(w, r, route, false) {
				t.Errorf("%s is not taken", route)
			}
			next(w, r)
		}
	}
	later := func(c *Controller, route string, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
		return twice(c, func(e *Exchange) { e.SetRoute(func() string { return route }) }, next)
	}
	type middleware func(*Controller, string, func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request)
	for name, order := range map[string]struct{ outer, inner middleware }{
		"both ahead":                      {ahead, ahead},
		"the outer ahead":                 {ahead, later},
		"the inner ahead":                 {later, ahead},
		"both later":                      {later, later},
		"both supplied":                   {supplied, supplied},
		"the outer supplied":              {supplied, later},
		"the inner supplied":              {later, supplied},
		"the outer ahead, inner supplied": {ahead, supplied},
		"the outer supplied, inner ahead": {supplied, ahead},
	} {
		for exempt, kept := range map[string]bool{"/api/:id": true, "/mount/:rest": false} {
			c := newController(t, OnRequestCount(1), Exempt(exempt))
			w := exchange(c, requestOn(openConnection(c), "/api/7"), order.outer(c, "/mount/:rest", order.inner(c, "/api/:id", nothing)))
			if w.announces() == kept {
				t.Errorf("%s, %s is exempt: sent %v", name, exempt, w.sent)
			}
		}
	}
}

func TestAPartThatGivesNoRouteOfTheResponseHidesNoneThatWasGivenAhead(t *testing.T) {
	for name, part := range map[string]func(*Controller) func(http.ResponseWriter, *http.Request){
		"a middleware without a router": func(c *Controller) func(http.ResponseWriter, *http.Request) {
			return twice(c, func(*Exchange) {}, respond(http.StatusOK))
		},
		"a router that found none": func(c *Controller) func(http.ResponseWriter, *http.Request) {
			return twice(c, func(e *Exchange) { e.UseRoute(&aRouter{}) }, nothing)
		},
		"a sub-request": func(c *Controller) func(http.ResponseWriter, *http.Request) {
			handler := twice(c, func(e *Exchange) { e.UseRoute(&aRouter{route: "/sub/:id"}) }, respond(http.StatusOK))
			return func(_ http.ResponseWriter, r *http.Request) { handler(newFakeWriter(), r) }
		},
	} {
		for exempt, kept := range map[string]bool{"/api/:id": true, "/mount/:rest": false, "/sub/:id": false} {
			c := newController(t, OnRequestCount(1), Exempt(exempt))
			w := exchange(c, requestOn(openConnection(c), "/api/7"), supplied(c, "/mount/:rest", func(w http.ResponseWriter, r *http.Request) {
				c.Report(w, r, "/api/:id", false)
				part(c)(w, r)
			}))
			if w.announces() == kept {
				t.Errorf("%s, %s is exempt: sent %v", name, exempt, w.sent)
			}
		}
	}
}

// aRouter is a router's own context, of which a route is asked.
type aRouter struct {
	route string
	asked int
}

func (r *aRouter) Path() string {
	r.asked++
	return r.route
}

// supplied is an adapter's middleware whose router knows the route later.
func supplied(c *Controller, route string, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return suppliedOf(c, &aRouter{route: route}, next)
}

func suppliedOf(c *Controller, route Route, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if w, supplied, ok := c.Supply(w, r, route, false); ok {
			defer supplied.End()
			next(w, r)
			return
		}
		twice(c, func(e *Exchange) { e.UseRoute(route) }, next)(w, r)
	}
}

func TestARouteThatIsSuppliedIsAskedOnceBeforeItsRouterRecyclesIt(t *testing.T) {
	for _, proto := range []int{1, 2} {
		for name, handler := range map[string]func(http.ResponseWriter, *http.Request){
			"a handler that writes":   respond(http.StatusOK),
			"one that writes nothing": nothing,
			"one that panics":         func(http.ResponseWriter, *http.Request) { panic("on purpose") },
			"one whose 103 comes first": func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				respond(http.StatusOK)(w, r)
			},
		} {
			for _, pattern := range []string{"/users/:id", "POST /users/{id}"} {
				c := newController(t, OnRoutes("/users/:id", pattern+"/more"))
				r := requestOn(openConnection(c), "/users/7")
				r.ProtoMajor = proto
				router := &aRouter{}
				w := exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
					defer func() {
						recover()
						router.route = "/recycled"
					}()
					suppliedOf(c, router, func(w http.ResponseWriter, r *http.Request) {
						router.route = "/users/:id" // which is found below
						handler(w, r)
					})(w, r)
				})
				if s := c.Stats(); !w.announces() || router.asked != 1 || s.Patterns[0].Matches != 1 || s.Exchanges != 1 || s.InFlight != 0 {
					t.Errorf("HTTP/%d, %s: sent %v, asked %d times, %+v", proto, name, w.sent, router.asked, s)
				}
			}
		}
	}
}

func TestTheMethodThatARouterHasComparedCountsBesideTheOneThatCame(t *testing.T) {
	for _, pattern := range []string{"POST /users/{id}/", "DELETE /users/{id}/"} {
		for name, router := range map[string]func(*http.Request) Route{
			"a router that knows it":           func(*http.Request) Route { return methodRouter{"DELETE"} },
			"one that has changed the request": func(r *http.Request) Route { return requestRouter{r} },
		} {
			for how, middleware := range map[string]func(*Controller, Route, func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request){
				"supplied": suppliedOf,
				"of a part": func(c *Controller, route Route, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
					return twice(c, func(e *Exchange) { e.UseRoute(route) }, next)
				},
			} {
				c := newController(t, OnRoutes(pattern))
				r := requestOn(openConnection(c), "/other")
				r.Method = http.MethodPost
				w := exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
					changed := r.Clone(r.Context())
					middleware(c, router(changed), func(http.ResponseWriter, *http.Request) { changed.Method = http.MethodDelete })(w, r)
				})
				if !w.announces() {
					t.Errorf("%s, %s, %s: sent %v", pattern, name, how, w.sent)
				}
			}
		}
	}
}

type methodRouter struct{ method string }

func (methodRouter) Path() string     { return "/users/{id}/photo" }
func (r methodRouter) Method() string { return r.method }

type requestRouter struct{ request *http.Request }

func (requestRouter) Path() string             { return "/users/{id}/photo" }
func (r requestRouter) Request() *http.Request { return r.request }

func TestARouteIsSuppliedOnceAndSaidSensitiveAsOftenAsOneLikes(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	router := &aRouter{route: "/users/:id/photo"}
	w := exchange(c, requestOn(openConnection(c), "/"), func(w http.ResponseWriter, r *http.Request) {
		w, outer, ok := c.Supply(w, r, router, false)
		if !ok {
			t.Error("not taken")
		}
		again, inner, ok := c.Supply(w, r, router, true)
		if !ok || again != w {
			t.Error("not taken again")
		}
		inner.End()
		if router.asked != 0 {
			t.Error("asked at the end of the inner one")
		}
		outer.End()
	})
	if !w.announces() || router.asked != 1 {
		t.Errorf("sent %v, asked %d times", w.sent, router.asked)
	}
}

// A program may put a context of its own in the place of its framework's.
func TestARouteThatCannotBeComparedIsSuppliedTwice(t *testing.T) {
	for name, route := range map[string]Route{
		"its type says so":      struct{ routeFunc }{func() string { return "/users/:id" }},
		"what it holds says so": withState{&aRouter{route: "/users/:id"}, []string{"admin"}},
	} {
		c := newController(t, OnRoutes("/users/:id"))
		w := exchange(c, requestOn(openConnection(c), "/other"), suppliedOf(c, route, suppliedOf(c, route, nothing)))
		if s := c.Stats(); !w.announces() || s.Exchanges != 1 {
			t.Errorf("%s: sent %v, %+v", name, w.sent, s)
		}
	}
}

type withState struct {
	Route
	state any
}

func TestASupplySaysWhenThereIsNobodyToTakeIt(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	r, e := c.Begin(requestOn(openConnection(c), "/"))
	own := e.Writer(newFakeWriter())
	_, part := c.Begin(r)
	route := routeFunc(func() string { return "/users/:id/photo" })
	anothers, outer, ok := c.Supply(own, r, route, false)
	if !ok {
		t.Error("not taken")
	}
	elsewhere := r.Clone(context.Background())
	for name, supply := range map[string]struct {
		c     *Controller
		w     http.ResponseWriter
		r     *http.Request
		route Route
	}{
		"a nil Controller":             {nil, own, r, route},
		"another Controller":           {newController(t), own, r, route},
		"a copy, and no route":         {c, own, r.Clone(r.Context()), nil},
		"a recorder":                   {c, newFakeWriter(), r, route},
		"a writer around it":           {c, unwrapping{own}, r, route},
		"a part's writer":              {c, part.Writer(own), r, route},
		"another router's writer":      {c, anothers, r, &aRouter{}},
		"the same, not to be compared": {c, anothers, r, route},
		"a context that hides us":      {c, own, elsewhere, route},
	} {
		if w, supplied, ok := supply.c.Supply(supply.w, supply.r, supply.route, true); ok || w != supply.w || supplied != (Supplied{}) {
			t.Errorf("%s: taken", name)
		}
	}
	*r = *r.WithContext(context.Background())
	if _, _, ok := c.Supply(own, r, route, true); ok {
		t.Error("taken for a context that was put in the place of the request's own")
	}
	outer.End()
	part.End()
	e.End()
	if _, _, ok := c.Supply(own, r, route, true); ok {
		t.Error("taken after the end")
	}
	if s := c.Stats(); s.Closes[ReasonRoute] != 0 || s.Exchanges != 1 {
		t.Errorf("%+v", s)
	}
}

// A middleware that gives a handler up after a time writes on another goroutine
// than the router's, which may still be at work.
func TestARouterIsNotAskedOnTheGoroutineThatAnswersInItsPlace(t *testing.T) {
	for _, proto := range []int{1, 2} {
		c := newController(t, OnRoutes("/users/:id"))
		r := requestOn(openConnection(c), "/other")
		r.ProtoMajor = proto
		supplied, answered, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
		w := exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
			router := &aRouter{}
			go func() {
				defer close(returned)
				suppliedOf(c, router, func(http.ResponseWriter, *http.Request) {
					close(supplied)
					router.route = "/users/:id"
					<-answered
				})(w, r)
			}()
			<-supplied
			w.WriteHeader(http.StatusGatewayTimeout)
			close(answered)
			<-returned
		})
		if s := c.Stats(); w.announces() || s.InFlight != 0 || s.Exchanges != 1 {
			t.Errorf("HTTP/%d: sent %v, %+v", proto, w.sent, s)
		}
	}
}

func TestARouterThatWasGivenUpHasNoSayOnceItsExchangeIsOver(t *testing.T) {
	for name, router := range map[string]func(*Controller, string, func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request){
		"supplied": supplied,
		"of a part": func(c *Controller, route string, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
			return twice(c, func(e *Exchange) { e.SetRoute(func() string { return route }) }, next)
		},
	} {
		c := newController(t, OnRoutes("/users/:id"))
		conn := openConnection(c)
		begun, over, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
		w := exchange(c, requestOn(conn, "/other"), func(w http.ResponseWriter, r *http.Request) {
			go func() {
				defer close(returned)
				router(c, "/users/:id", func(http.ResponseWriter, *http.Request) {
					close(begun)
					<-over
				})(w, r)
			}()
			<-begun
			w.WriteHeader(http.StatusGatewayTimeout)
		})
		close(over)
		<-returned
		if reason, ok := conn.Mark(); ok || w.announces() {
			t.Errorf("%s: sent %v, and the connection ends for the reason %q", name, w.sent, reason)
		}
	}
}

// A middleware between the router's own may copy to the client what the handler
// writes, on another goroutine.
func TestARouterIsNotAskedBeforeItsHandlersHaveGivenTheFirstBytes(t *testing.T) {
	c := newController(t, OnRoutes("/users/:id"))
	router := &aRouter{}
	w := exchange(c, requestOn(openConnection(c), "/other"), suppliedOf(c, router, func(w http.ResponseWriter, r *http.Request) {
		source, handler := io.Pipe()
		copying, copied := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(copied)
			close(copying)
			io.Copy(w, source)
		}()
		<-copying
		router.route = "/users/:id"
		io.WriteString(handler, "hello")
		handler.Close()
		<-copied
	}))
	if !w.announces() || router.asked != 1 {
		t.Errorf("sent %v, asked %d times", w.sent, router.asked)
	}
}

func TestAMiddlewareWithoutARouterSuppliesThePatternOfTheRequestAlone(t *testing.T) {
	for _, proto := range []int{1, 2} {
		for name, copies := range map[string]bool{"the request": false, "a copy": true} {
			c := newController(t, OnRoutes("/users/{id}/{$}"))
			r := requestOn(openConnection(c), "/other")
			r.ProtoMajor = proto
			w := exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
				if copies {
					r = r.WithContext(context.WithValue(r.Context(), otherKey{}, nil))
				}
				if own, _, ok := c.Supply(w, r, nil, false); ok == copies || own != w {
					t.Errorf("HTTP/%d, %s: taken: %v", proto, name, ok)
				}
				r.Pattern = "/users/{id}/{$}"
			})
			if w.announces() == copies {
				t.Errorf("HTTP/%d, %s: sent %v", proto, name, w.sent)
			}
		}
	}
}

func TestOfTwoRoutersInTurnTheOneThatAnswersIsExempt(t *testing.T) {
	c := newController(t, OnRequestCount(1), Exempt("/probe/:id"))
	for name, router := range map[string]func(*Controller, string, func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request){
		"supplied": supplied,
		"of a part": func(c *Controller, route string, next func(http.ResponseWriter, *http.Request)) func(http.ResponseWriter, *http.Request) {
			return twice(c, func(e *Exchange) { e.SetRoute(func() string { return route }) }, next)
		},
	} {
		w := exchange(c, requestOn(openConnection(c), "/"), func(w http.ResponseWriter, r *http.Request) {
			router(c, "/*", nothing)(w, r) // an audit that only looks
			router(c, "/probe/:id", respond(http.StatusOK))(w, r)
		})
		if w.announces() {
			t.Errorf("%s: sent %v", name, w.sent)
		}
	}
}

func TestAnExemptPatternCountsOnceForAPathAndItsRoute(t *testing.T) {
	c := newController(t, OnRequestCount(1), Exempt("/health"))
	exchange(c, requestOn(openConnection(c), "/health"), supplied(c, "/health", nothing))
	if s := c.Stats(); s.Patterns[0].Matches != 1 {
		t.Errorf("%+v", s.Patterns)
	}
}

func TestAPatternOfWhatIsSensitiveAnywayDoesNotLookUnused(t *testing.T) {
	for name, inner := range map[string]func(*Controller) func(http.ResponseWriter, *http.Request){
		"reported": func(c *Controller) func(http.ResponseWriter, *http.Request) {
			return func(w http.ResponseWriter, r *http.Request) { c.Report(w, r, "/users/:id", true) }
		},
		"supplied": func(c *Controller) func(http.ResponseWriter, *http.Request) {
			return func(w http.ResponseWriter, r *http.Request) {
				_, supplied, _ := c.Supply(w, r, &aRouter{route: "/users/:id"}, true)
				supplied.End()
			}
		},
		"of a part": func(c *Controller) func(http.ResponseWriter, *http.Request) {
			return twice(c, func(e *Exchange) {
				e.Sensitive()
				e.SetRoute(func() string { return "/users/:id" })
			}, nothing)
		},
		"the second of a batch": func(c *Controller) func(http.ResponseWriter, *http.Request) {
			return func(w http.ResponseWriter, r *http.Request) {
				for _, route := range []string{"/first/:id", "/users/:id"} {
					twice(c, func(e *Exchange) { e.SetRoute(func() string { return route }) }, nothing)(w, r)
				}
			}
		},
	} {
		c := newController(t, OnRoutes("/users/:id", "/first/:id"))
		w := exchange(c, requestOn(openConnection(c), "/users/7"), inner(c))
		if s := c.Stats(); !w.announces() || s.Patterns[0].Matches != 1 {
			t.Errorf("%s: sent %v, %+v", name, w.sent, s.Patterns)
		}
	}
}

// unwrapping is a writer that says what it writes to.
type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestTheExchangesOwnRouteCountsBesideThoseOfItsParts(t *testing.T) {
	c := newController(t, OnRoutes("/api/*"))
	for name, tracked := range map[string]bool{"tracked": true, "untracked": false} {
		var conn *Connection
		if tracked {
			conn = openConnection(c)
		}
		r, e := c.Begin(requestOn(conn, "/users/7"))
		e.SetRoute(func() string { return "/api/*" })
		w := newFakeWriter()
		supplyPart := twice(c, func(part *Exchange) { part.SetRoute(func() string { return "/users/:id" }) }, respond(http.StatusOK))
		supplyPart(e.Writer(w), r)
		e.End()
		if !w.announces() {
			t.Errorf("%s: sent %v", name, w.sent)
		}
	}
}

func TestAskingWhatIsAnnouncedDoesNotEndTheSearchForARoute(t *testing.T) {
	for name, tracked := range map[string]bool{"tracked": true, "untracked": false} {
		c := newController(t, OnRoutes("/users/:id"))
		var conn *Connection
		if tracked {
			conn = openConnection(c)
		}
		r, e := c.Begin(requestOn(conn, "/users/7"))
		router := &aRouter{route: "/users/*"} // of a router within
		e.UseRoute(router)
		w := newFakeWriter()
		own := e.Writer(w)
		if reason, ok := Announced(r.Context()); ok {
			t.Errorf("%s: %s is announced before there is a route", name, reason)
		}
		router.route = "/users/:id"
		for range 2 {
			if reason, _ := Announced(r.Context()); reason != ReasonRoute {
				t.Errorf("%s: foresees %q", name, reason)
			}
		}
		own.WriteHeader(http.StatusOK)
		e.End()
		if s := c.Stats(); !w.announces() || s.Patterns[0].Matches != 1 {
			t.Errorf("%s: sent %v, %+v", name, w.sent, s.Patterns)
		}
	}
}

func TestASensitiveRouteThatIsFoundTooLateEndsNothingWhereItIsSkipped(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)
	exchange(c, requestOn(conn, "/"), func(w http.ResponseWriter, r *http.Request) {
		c.Skip(w)
		w.WriteHeader(http.StatusOK)
		twice(c, (*Exchange).Sensitive, nothing)(w, r)
	})
	if reason, ok := conn.Mark(); ok {
		t.Errorf("the connection ends for the reason %q", reason)
	}
}

func TestCloseAfterTheHeaderOfASkippedStreamLeavesTheAnnouncementToTheNextResponse(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)
	var told []Reason
	conn.AnnounceWith(func(reason Reason) { told = append(told, reason) })
	r := requestOn(conn, "/")
	r.ProtoMajor = 2
	exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
		c.Skip(w)
		w.WriteHeader(http.StatusOK)
		if CloseAfter(r.Context(), ReasonHandler) {
			t.Error("CloseAfter says that the connection ends now")
		}
	})
	if len(told) != 0 {
		t.Errorf("told %v", told)
	}
	if exchange(c, r, nothing); len(told) != 1 || told[0] != ReasonHandler {
		t.Errorf("told %v by the next response", told)
	}
}
