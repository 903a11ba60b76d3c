package echoadapter_test

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/conformance"
	"github.com/politeclose/politeclose/internal/servertest"
)

func newEngine() *echo.Echo {
	e := echo.New()
	e.Logger.SetOutput(io.Discard)
	return e
}

func empty(echo.Context) error { return nil }

func TestTheRouteIsThePath(t *testing.T) {
	for name, install := range map[string]func(*echo.Echo, echo.MiddlewareFunc){
		"in Use": func(e *echo.Echo, m echo.MiddlewareFunc) { e.Use(m) },
		"in Pre": func(e *echo.Echo, m echo.MiddlewareFunc) { e.Pre(m) },
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes("/files/*", "/v1/accounts/:id/keys"))
			e := newEngine()
			install(e, echoadapter.Middleware(ctl))
			e.GET("/files/*", empty)
			accounts := e.Group("/v1/accounts")
			accounts.GET("/:id", empty)
			accounts.GET("/:id/keys", empty)
			address := conformance.Serve(t, e, ctl)

			for path, closes := range map[string]bool{
				"/files/a/b":          true,
				"/v1/accounts/7":      false,
				"/v1/accounts/7/keys": true,
			} {
				conn := clienttest.Dial(t, address)
				conn.ExpectClosedIf(closes, conn.Get(path))
			}
		})
	}
}

func TestTheSkipperLeavesRequestsOut(t *testing.T) {
	ctl := servertest.NewController(t)
	ctl.Drain()
	e := newEngine()
	e.Use(echoadapter.MiddlewareWithConfig(echoadapter.Config{
		Controller: ctl,
		Skipper:    func(c echo.Context) bool { return c.Path() == "/skipped" },
	}))
	e.GET("/skipped", empty)
	e.GET("/", empty)
	address := conformance.Serve(t, e, ctl)
	conn := clienttest.Dial(t, address)
	conn.ExpectKept(conn.Get("/skipped"))
	conn.ExpectClosed(conn.Get("/"))
}

func TestToMiddlewareSaysThatThereIsNoController(t *testing.T) {
	if _, err := (echoadapter.Config{}).ToMiddleware(); err == nil || !strings.Contains(err.Error(), "Config.Controller is nil") {
		t.Errorf("the error is %v", err)
	}
	if _, err := (echoadapter.Config{Controller: servertest.NewController(t)}).ToMiddleware(); err != nil {
		t.Error(err)
	}
}

func TestAnErrorHandlerOfTheUsersOwnIsSeenWithItsStatus(t *testing.T) {
	ctl := servertest.NewController(t, core.OnStatus(http.StatusTeapot))
	e := newEngine()
	e.HTTPErrorHandler = func(_ error, c echo.Context) { c.NoContent(http.StatusTeapot) }
	e.Use(middleware.Gzip(), echoadapter.Middleware(ctl))
	e.GET("/", func(echo.Context) error { return errors.New("no") })
	conn := clienttest.Dial(t, conformance.Serve(t, e, ctl))
	conn.ExpectClosed(conn.Get("/", "Accept-Encoding: gzip"))
}

// middleware.Timeout answers on echo's behalf, past what stands below it.
func TestTheDeprecatedTimeoutAboveDoesNotAnswerPastTheEntry(t *testing.T) {
	for name, test := range map[string]struct {
		timeout time.Duration
		path    string
		status  int
		closes  bool
	}{
		"in time":  {time.Minute, "/", http.StatusOK, true},
		"too late": {conformance.HurryTimeout, "/late", http.StatusServiceUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			ctl.Drain()
			e := newEngine()
			e.Use(middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: test.timeout}))
			e.Use(echoadapter.Middleware(ctl))
			e.GET("/", empty)
			answered := make(chan struct{})
			defer close(answered)
			e.GET("/late", func(echo.Context) error {
				<-answered // who returns when the time is over may still come first
				return nil
			})
			conn := clienttest.Dial(t, conformance.Serve(t, e, ctl))
			response := conn.Get(test.path)
			if response.Status != test.status {
				t.Errorf("the status is %d", response.Status)
			}
			if test.closes {
				conn.ExpectClosed(response)
			} else {
				conn.ExpectKept(response)
			}
		})
	}
}

func TestANilControllerChangesNothing(t *testing.T) {
	e := newEngine()
	e.Use(echoadapter.Middleware(nil), echoadapter.Sensitive(nil), echoadapter.MiddlewareWithConfig(echoadapter.Config{}))
	e.GET("/", empty)
	conn := clienttest.Dial(t, conformance.Serve(t, e, nil))
	conn.ExpectKept(conn.Get("/"))
}

// Middleware of Pre runs before the router, so the route is asked late.
func TestTheRouteIsSeenFromPre(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/users/:id"))
	e := newEngine()
	e.Pre(echoadapter.Middleware(ctl), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if c.Request().URL.Path == "/me" {
				c.Request().URL.Path = "/users/7" // as echo's Rewrite does
			}
			return next(c)
		}
	})
	e.GET("/users/:id", func(c echo.Context) error { return c.String(http.StatusOK, "hello") })
	e.GET("/empty/:id", empty)
	address := conformance.Serve(t, e, ctl)
	conn := clienttest.Dial(t, address)
	conn.ExpectClosed(conn.Get("/me"))
	conn = clienttest.Dial(t, address)
	conn.ExpectKept(conn.Get("/empty/7"))
}

// A skipped request is left out, whatever decides about it.
func TestASkippedRequestIsLeftOutWithAMarkedConnection(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRequestCount(1))
	e := newEngine()
	e.Use(echoadapter.MiddlewareWithConfig(echoadapter.Config{
		Controller: ctl,
		Skipper:    func(c echo.Context) bool { return c.Path() == "/skipped" },
	}))
	e.GET("/skipped", empty)
	e.GET("/", empty)
	conn := clienttest.Dial(t, conformance.Serve(t, e, ctl))
	conn.ExpectKept(conn.Get("/skipped"))
	conn.ExpectKept(conn.Get("/skipped"))
	conn.ExpectClosed(conn.Get("/"))
}

func TestASkippedRequestIsToldThatItsResponseEndsNothing(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/sensitive"))
	e := newEngine()
	e.Use(echoadapter.MiddlewareWithConfig(echoadapter.Config{
		Controller: ctl,
		Skipper:    func(c echo.Context) bool { return c.Path() != "/" },
	}))
	e.GET("/sensitive", func(c echo.Context) error {
		if reason, announced := core.Announced(c.Request().Context()); announced {
			t.Errorf("%s is announced", reason)
		}
		return c.NoContent(http.StatusOK)
	})
	e.GET("/asking", func(c echo.Context) error {
		if core.CloseAfter(c.Request().Context(), core.ReasonHandler) {
			t.Error("the connection is said to end")
		}
		return c.NoContent(http.StatusOK)
	})
	e.GET("/", empty)
	address := servertest.New(t, ctl, servertest.NewHTTP2(e)).Start().Address
	conn := clienttest.Dial(t, address)
	conn.ExpectKept(conn.Get("/sensitive"))
	conn.ExpectKept(conn.Get("/asking"))
	conn.ExpectClosed(conn.Get("/"))
	http2 := clienttest.DialUnencryptedHTTP2(t, address)
	http2.Get("/sensitive")
	http2.Get("/asking")
}

// What a program asks of its own engine is answered to a recorder. That the engine
// skips it says nothing about the response that goes to the client.
func TestASubRequestThatIsSkippedDoesNotSkipItsExchange(t *testing.T) {
	ctl := servertest.NewController(t)
	e := newEngine()
	e.Use(echoadapter.MiddlewareWithConfig(echoadapter.Config{
		Controller: ctl,
		Skipper:    func(c echo.Context) bool { return c.Path() == "/skipped" },
	}))
	e.GET("/skipped", empty)
	e.GET("/batch", func(c echo.Context) error {
		part := httptest.NewRequest(http.MethodGet, "/skipped", nil).WithContext(c.Request().Context())
		e.ServeHTTP(httptest.NewRecorder(), part)
		return c.NoContent(http.StatusOK)
	})
	address := conformance.Serve(t, e, ctl)
	ctl.Drain()
	conn := clienttest.Dial(t, address)
	conn.ExpectKept(conn.Get("/skipped"))
	conn.ExpectClosed(conn.Get("/batch"))
}

func TestOfTwoEnginesTheInnersRouteIsExempt(t *testing.T) {
	for exempt, kept := range map[string]bool{"/v1/accounts/:id": true, "/v1/:mounted/:rest": false} {
		ctl := servertest.NewController(t, core.OnRequestCount(1), core.Exempt(exempt))
		inner := newEngine()
		inner.Use(echoadapter.Middleware(ctl))
		inner.GET("/v1/accounts/:id", empty)
		outer := newEngine()
		outer.Use(echoadapter.Middleware(ctl))
		outer.GET("/v1/:mounted/:rest", echo.WrapHandler(inner))

		conn := clienttest.Dial(t, conformance.Serve(t, outer, ctl))
		if response := conn.Get("/v1/accounts/7"); kept {
			conn.ExpectKept(response)
		} else {
			conn.ExpectClosed(response)
		}
	}
}

// A handler may have echo's router look for another route and serve that one.
func TestTheRouteThatAHandlerGoesOnToCounts(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/accounts/:id/keys"))
	e := newEngine()
	e.Use(echoadapter.Middleware(ctl))
	e.GET("/accounts/:id/keys", empty)
	e.GET("/other", empty)
	for alias, target := range map[string]string{"/my-keys": "/accounts/7/keys", "/alias": "/other"} {
		e.GET(alias, func(c echo.Context) error {
			e.Router().Find(http.MethodGet, target, c)
			return c.Handler()(c)
		})
	}
	address := conformance.Serve(t, e, ctl)
	for path, closes := range map[string]bool{"/my-keys": true, "/alias": false} {
		conn := clienttest.Dial(t, address)
		conn.ExpectClosedIf(closes, conn.Get(path))
	}
}

// echo routes the request that it was called with, whatever Pre has put in its
// place.
func TestWhatPreChangesInTheRequestIsRoutedOnAServerThatIsNotTracked(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("DELETE /accounts/:id"))
	e := newEngine()
	e.Pre(echoadapter.Middleware(ctl), middleware.MethodOverrideWithConfig(middleware.MethodOverrideConfig{
		Getter: middleware.MethodFromQuery("method"),
	}), middleware.Rewrite(map[string]string{"/old/*": "/new/$1"}))
	say := func(what string) echo.HandlerFunc {
		return func(c echo.Context) error { return c.String(http.StatusOK, what) }
	}
	e.POST("/accounts/:id", say("posted"))
	e.DELETE("/accounts/:id", say("deleted"))
	e.POST("/new/:name", func(c echo.Context) error {
		core.CloseAfter(c.Request().Context(), core.ReasonHandler)
		return say("new")(c)
	})
	l := servertest.Listen(t)
	servertest.Serve(t, servertest.NewHTTP2(e), l, servertest.Cleartext)

	for path, want := range map[string]struct {
		body   string
		closes bool
	}{
		"/accounts/7":               {"posted", false},
		"/accounts/7?method=DELETE": {"deleted", true},
		"/old/7":                    {"new", true},
	} {
		conn := clienttest.Dial(t, l.Addr().String())
		conn.Send(clienttest.Request("POST", path, "Content-Length: 0"))
		response := conn.Receive()
		if response.Body != want.body {
			t.Errorf("%s: %d %q", path, response.Status, response.Body)
		}
		conn.ExpectClosedIf(want.closes, response)

		http2 := clienttest.DialUnencryptedHTTP2(t, l.Addr().String())
		response = http2.Finish(http2.StartRequest("POST", path, false))
		if response.Body != want.body {
			t.Errorf("%s over HTTP/2: %d %q", path, response.Status, response.Body)
		}
		if want.closes {
			http2.ExpectGoAway()
		} else {
			http2.ExpectOpen()
		}
	}
	if stats := ctl.Stats(); stats.InFlight != 0 || stats.Closes[core.ReasonRoute] != 2 || stats.Closes[core.ReasonHandler] != 2 {
		t.Errorf("the statistics are %+v", stats)
	}
}

// What parsed the request's form on the way has to be known to net/http, which
// removes its files.
func TestAFormThatPreParsesIsKnownToTheHandlerAndToTheServer(t *testing.T) {
	e := newEngine()
	e.Pre(echoadapter.Middleware(servertest.NewController(t)), middleware.MethodOverrideWithConfig(middleware.MethodOverrideConfig{
		Getter: middleware.MethodFromForm("method"),
	}))
	e.DELETE("/", func(c echo.Context) error {
		_, file, err := c.Request().FormFile("file")
		if err != nil {
			return err
		}
		return c.String(http.StatusOK, file.Filename)
	})
	asked := make(chan *http.Request, 1)
	address := conformance.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.ServeHTTP(w, r)
		asked <- r
	}), nil)
	var body strings.Builder
	form := multipart.NewWriter(&body)
	form.WriteField("method", http.MethodDelete)
	part, _ := form.CreateFormFile("file", "name.txt")
	io.WriteString(part, "hello")
	form.Close()
	conn := clienttest.Dial(t, address)
	conn.Send(clienttest.Request("POST", "/", "Content-Type: "+form.FormDataContentType(), fmt.Sprint("Content-Length: ", body.Len())) + body.String())
	if response := conn.Receive(); response.Body != "name.txt" {
		t.Errorf("%d %q", response.Status, response.Body)
	}
	if r := clienttest.Receive(t, "the request", asked); r.MultipartForm == nil {
		t.Error("the server does not know the form")
	}
}

// Such as of a cache around the engine that keeps the map and replays it.
func TestTheAnnouncementIsGoneFromTheMapOnceTheErrorHandlerHasAnswered(t *testing.T) {
	for name, above := range map[string][]echo.MiddlewareFunc{
		"through our writer":       nil,
		"after a panic":            {middleware.RecoverWithConfig(middleware.RecoverConfig{DisablePrintStack: true, LogErrorFunc: func(echo.Context, error, []byte) error { return echo.ErrTeapot }})},
		"when ours was taken away": {middleware.Gzip()},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			ctl.Drain()
			e := newEngine()
			e.Use(above...)
			e.Use(echoadapter.Middleware(ctl))
			e.GET("/", func(echo.Context) error {
				if name == "after a panic" {
					panic("a panic in a test")
				}
				return echo.ErrTeapot
			})
			left := make(chan http.Header, 1)
			conn := clienttest.Dial(t, conformance.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "X-Hop")
				e.ServeHTTP(w, r)
				left <- w.Header()
			}), nil))
			response := conn.Get("/", "Accept-Encoding: gzip")
			if response.Status != http.StatusTeapot {
				t.Errorf("status %d", response.Status)
			}
			conn.ExpectClosed(response)
			if h := clienttest.Receive(t, "the map", left); h.Get("Connection") != "X-Hop" {
				t.Errorf("the map has Connection: %q", h["Connection"])
			}
		})
	}
}
