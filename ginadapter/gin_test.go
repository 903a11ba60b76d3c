package ginadapter_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/ginadapter"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/conformance"
	"github.com/politeclose/politeclose/internal/servertest"
)

func empty(*gin.Context) {}

func TestTheRouteIsTheFullPath(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/files/*rest", "/v1/accounts/:id/keys"))
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl))
	r.GET("/files/*rest", empty)
	accounts := r.Group("/v1/accounts")
	accounts.GET("/:id", empty)
	accounts.GET("/:id/keys", empty)
	address := conformance.Serve(t, r, ctl)

	for path, closes := range map[string]bool{
		"/files/a/b":          true,
		"/v1/accounts/7":      false,
		"/v1/accounts/7/keys": true,
	} {
		conn := clienttest.Dial(t, address)
		conn.ExpectClosedIf(closes, conn.Get(path))
	}
}

// What gin answers past the middleware, as it is and with stdlib.Middleware
// around the engine.
func TestTheEntrySeesWhatGinHidesFromMiddleware(t *testing.T) {
	for name, program := range map[string]struct {
		prepare func(*gin.Engine, *core.Controller)
		path    string
	}{
		"HandleContext takes the writer away": {func(r *gin.Engine, ctl *core.Controller) {
			r.Use(ginadapter.Middleware(ctl))
			r.GET("/old", func(c *gin.Context) {
				c.Request.URL.Path = "/new"
				r.HandleContext(c)
			})
			r.GET("/new", func(c *gin.Context) { c.Status(http.StatusTeapot) })
		}, "/old"},
		"an outer middleware answers after the handler has returned": {func(r *gin.Engine, ctl *core.Controller) {
			r.Use(func(c *gin.Context) {
				c.Next()
				c.AbortWithStatus(http.StatusTeapot)
			}, ginadapter.Middleware(ctl))
			r.GET("/old", empty)
		}, "/old"},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnStatus(http.StatusTeapot))
			r := gin.New()
			program.prepare(r, ctl)

			conn := clienttest.Dial(t, conformance.Serve(t, r, ctl))
			conn.ExpectClosed(conn.Get(program.path))
		})
	}
}

func TestCloseAfterWantsTheRequestsContext(t *testing.T) {
	for name, test := range map[string]struct {
		fallback bool
		ask      func(*gin.Context) bool
		closes   bool
	}{
		"the request's context":      {false, func(c *gin.Context) bool { return core.CloseAfter(c.Request.Context(), core.ReasonHandler) }, true},
		"gin's own":                  {false, func(c *gin.Context) bool { return core.CloseAfter(c, core.ReasonHandler) }, false},
		"gin's own, with a fallback": {true, func(c *gin.Context) bool { return core.CloseAfter(c, core.ReasonHandler) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			r := gin.New()
			r.ContextWithFallback = test.fallback
			r.Use(ginadapter.Middleware(ctl))
			r.GET("/", func(c *gin.Context) {
				if got := test.ask(c); got != test.closes {
					t.Errorf("CloseAfter returned %v", got)
				}
			})
			conn := clienttest.Dial(t, conformance.Serve(t, r, ctl))
			conn.ExpectClosedIf(test.closes, conn.Get("/"))
		})
	}
}

func TestAnInformationalStatusIsNotTheResponses(t *testing.T) {
	ctl := servertest.NewController(t, core.OnStatus(http.StatusOK))
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl))
	r.GET("/write", func(c *gin.Context) {
		c.Status(http.StatusEarlyHints)
		c.Writer.WriteHeaderNow()
		c.Writer.WriteString("net/http makes this a 200")
	})
	r.GET("/nothing", func(c *gin.Context) { c.Status(http.StatusEarlyHints) })
	address := conformance.Serve(t, r, ctl)
	for _, path := range []string{"/write", "/nothing"} {
		conn := clienttest.Dial(t, address)
		response := conn.Get(path)
		if response.Status != http.StatusOK || len(response.Informational) != 1 {
			t.Errorf("%s: %d after %d informational responses", path, response.Status, len(response.Informational))
		}
		conn.ExpectClosed(response)
	}
}

func TestANilControllerChangesNothing(t *testing.T) {
	r := gin.New()
	r.Use(ginadapter.Middleware(nil), ginadapter.Sensitive(nil))
	r.GET("/", empty)
	conn := clienttest.Dial(t, conformance.Serve(t, r, nil))
	conn.ExpectKept(conn.Get("/"))
}

// gin-contrib/gzip does that, with the end of its stream.
func TestAMiddlewareThatWritesBehindAHijackAnnouncesNothing(t *testing.T) {
	for _, tracked := range []bool{true, false} {
		ctl := servertest.NewController(t, core.OnRoutes("/socket"), core.Logger(slog.New(slog.DiscardHandler)))
		written := make(chan struct{})
		r := gin.New()
		r.Use(ginadapter.Middleware(ctl), func(c *gin.Context) {
			defer close(written)
			c.Next()
			c.Writer.Write([]byte("the end"))
		})
		r.GET("/socket", func(c *gin.Context) {
			conn, _, err := c.Writer.Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
		known := ctl
		if !tracked {
			known = nil
		}
		clienttest.Dial(t, conformance.Serve(t, r, known)).Send(clienttest.Request("GET", "/socket"))
		clienttest.Receive(t, "the write", written)
		clienttest.Eventually(t, "the exchange has ended", func() bool { return ctl.Stats().InFlight == 0 })
		if n := ctl.Stats().Closes[core.ReasonRoute]; n != 0 {
			t.Errorf("tracked: %v: %d closes were counted", tracked, n)
		}
	}
}

// gin starts its routing anew for a request that a handler has changed.
func TestTheRouteThatHandleContextReachesCounts(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/users/:id"))
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl))
	r.GET("/users/:id", empty)
	r.GET("/keys", ginadapter.Sensitive(ctl), empty)
	for alias, target := range map[string]string{"/me": "/users/7", "/my-keys": "/keys", "/other": "/none"} {
		r.GET(alias, func(c *gin.Context) {
			c.Request.URL.Path = target
			r.HandleContext(c)
		})
	}
	address := conformance.Serve(t, r, ctl)
	for path, closes := range map[string]bool{"/me": true, "/my-keys": true, "/other": false} {
		conn := clienttest.Dial(t, address)
		conn.ExpectClosedIf(closes, conn.Get(path))
	}
}

// A cache that keeps the response of a connection's last exchange keeps no
// announcement.
func TestAResponseCacheReplaysNoAnnouncement(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/page"))
	var cached http.Header
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl), func(c *gin.Context) {
		if cached != nil {
			maps.Copy(c.Writer.Header(), cached)
			c.AbortWithStatus(http.StatusOK)
			return
		}
		c.Next()
		cached = c.Writer.Header().Clone()
	})
	r.GET("/page", func(c *gin.Context) { c.String(http.StatusOK, "page") })
	address := conformance.Serve(t, r, ctl)
	conn := clienttest.Dial(t, address)
	conn.ExpectClosed(conn.Get("/page"))
	conn = clienttest.Dial(t, address)
	conn.ExpectKept(conn.Get("/hit"))
	if cached.Get("Content-Type") == "" || cached["Connection"] != nil {
		t.Errorf("the cache has %v", cached)
	}
}

// What stands between the server and the engine may give the request another
// context. Its response is still the server's to announce, and it is one exchange.
func TestAContextThatWasReplacedAboveTheEngineChangesNoCount(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/items/:id"))
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl))
	r.GET("/other/:id", empty)
	r.GET("/items/:id", func(c *gin.Context) {
		if !core.CloseAfter(c.Request.Context(), core.ReasonHandler) {
			t.Error("CloseAfter says that the connection stays")
		}
		c.String(http.StatusOK, "hello")
	})
	var left http.Header
	srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.ServeHTTP(w, q.WithContext(context.Background()))
		left = w.Header().Clone()
	}))
	s := servertest.New(t, ctl, srv).Start()
	conn := clienttest.Dial(t, s.Address)
	conn.ExpectKept(conn.Get("/other/7"))
	conn.ExpectClosed(conn.Get("/items/7"))
	s.ExpectStats("each request is one exchange", func(stats core.Stats) bool {
		return stats.Exchanges == 2 && stats.InFlight == 0 && stats.Untracked == 0 && stats.Closes[core.ReasonHandler] == 1
	})
	if left["Connection"] != nil {
		t.Errorf("the header map has been left with Connection %q", left["Connection"])
	}
}

func TestOfTwoEnginesTheInnersRouteIsExempt(t *testing.T) {
	for exempt, kept := range map[string]bool{"/v1/accounts/:id": true, "/v1/:mounted/:rest": false} {
		ctl := servertest.NewController(t, core.OnRequestCount(1), core.Exempt(exempt))
		inner := gin.New()
		inner.Use(ginadapter.Middleware(ctl))
		inner.GET("/v1/accounts/:id", empty)
		outer := gin.New()
		outer.Use(ginadapter.Middleware(ctl))
		outer.GET("/v1/:mounted/:rest", gin.WrapH(inner))

		conn := clienttest.Dial(t, conformance.Serve(t, outer, ctl))
		if response := conn.Get("/v1/accounts/7"); kept {
			conn.ExpectKept(response)
		} else {
			conn.ExpectClosed(response)
		}
	}
}

// Such as a cache that keeps the map and replays it.
func TestTheAnnouncementIsGoneFromTheMapOnceItHasLeft(t *testing.T) {
	left := http.Header{"Connection": {"X-Hop"}}
	for name, write := range map[string]func(*gin.Context){
		"a string":        func(c *gin.Context) { c.String(http.StatusOK, "hello") },
		"bytes":           func(c *gin.Context) { c.Writer.Write([]byte("hello")) },
		"WriteString":     func(c *gin.Context) { c.Writer.WriteString("hello") },
		"a status":        func(c *gin.Context) { c.AbortWithStatus(http.StatusTeapot) },
		"a flush":         func(c *gin.Context) { c.Writer.Flush() },
		"JSON":            func(c *gin.Context) { c.JSON(http.StatusOK, left) },
		"a net/http file": func(c *gin.Context) { c.File("gin_test.go") },
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			ctl.Drain()
			r := gin.New()
			r.Use(ginadapter.Middleware(ctl))
			r.GET("/", func(c *gin.Context) {
				maps.Copy(c.Writer.Header(), left)
				write(c)
				if got := c.Writer.Header()["Connection"]; !slices.Equal(got, left["Connection"]) {
					t.Errorf("the map has Connection: %q", got)
				}
			})
			conn := clienttest.Dial(t, conformance.Serve(t, r, nil))
			conn.ExpectClosed(conn.Get("/"))
		})
	}
}

// A writer above that sends the header later still has to find it.
func TestAWriterThatSendsTheHeaderLateAnnouncesAllTheSame(t *testing.T) {
	late := func(c *gin.Context) {
		w := &lateWriter{ResponseWriter: c.Writer, status: http.StatusOK}
		c.Writer = w
		c.Next()
		w.ResponseWriter.WriteHeader(w.status)
		w.ResponseWriter.Write(w.body)
	}
	for name, r := range map[string]func(*gin.Engine, *core.Controller) http.Handler{
		"a gin middleware's": func(r *gin.Engine, ctl *core.Controller) http.Handler {
			r.Use(late, ginadapter.Middleware(ctl))
			return r
		},
		"http.TimeoutHandler's": func(r *gin.Engine, ctl *core.Controller) http.Handler {
			r.Use(ginadapter.Middleware(ctl))
			return http.TimeoutHandler(r, clienttest.Patience, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			ctl.Drain()
			engine := gin.New()
			handler := r(engine, ctl)
			engine.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello") })
			conn := clienttest.Dial(t, conformance.Serve(t, handler, nil))
			response := conn.Get("/")
			if response.Body != "hello" {
				t.Errorf("%d %q", response.Status, response.Body)
			}
			conn.ExpectClosed(response)
		})
	}
}

// lateWriter keeps what is written until its middleware is over.
type lateWriter struct {
	gin.ResponseWriter
	status int
	body   []byte
}

func (w *lateWriter) WriteHeader(status int) { w.status = status }
func (w *lateWriter) WriteHeaderNow()        {}
func (w *lateWriter) Write(p []byte) (int, error) {
	w.body = append(w.body, p...)
	return len(p), nil
}
func (w *lateWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// Recovery above answers through our writer after we have ended the exchange.
func TestWhatRecoveryAboveAnswersIsCountedOnAServerThatIsNotTracked(t *testing.T) {
	ctl := servertest.NewController(t)
	ctl.Drain()
	r := gin.New()
	r.Use(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) {
		c.AbortWithStatus(http.StatusInternalServerError)
	}), ginadapter.Middleware(ctl))
	r.GET("/", func(*gin.Context) { panic("a panic in a test") })
	conn := clienttest.Dial(t, conformance.Serve(t, r, nil))
	response := conn.Get("/")
	if response.Status != http.StatusInternalServerError {
		t.Errorf("status %d", response.Status)
	}
	conn.ExpectClosed(response)
	if stats := ctl.Stats(); stats.InFlight != 0 || stats.Closes[core.ReasonDrain] != 1 {
		t.Errorf("the statistics are %+v", stats)
	}
}
