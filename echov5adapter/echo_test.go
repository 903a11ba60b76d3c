package echov5adapter_test

import (
	"bufio"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echov5adapter"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/conformance"
	"github.com/politeclose/politeclose/internal/servertest"
)

func newEngine() *echo.Echo {
	e := echo.New()
	e.Logger = slog.New(slog.DiscardHandler)
	return e
}

func empty(*echo.Context) error { return nil }

func TestTheRouteIsThePath(t *testing.T) {
	for name, install := range map[string]func(*echo.Echo, echo.MiddlewareFunc){
		"in Use": func(e *echo.Echo, m echo.MiddlewareFunc) { e.Use(m) },
		"in Pre": func(e *echo.Echo, m echo.MiddlewareFunc) { e.Pre(m) },
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes("/files/*", "/v1/accounts/:id/keys"))
			e := newEngine()
			install(e, echov5adapter.Middleware(ctl))
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
	e.Use(echov5adapter.MiddlewareWithConfig(echov5adapter.Config{
		Controller: ctl,
		Skipper:    func(c *echo.Context) bool { return c.Path() == "/skipped" },
	}))
	e.GET("/skipped", empty)
	e.GET("/", empty)
	address := conformance.Serve(t, e, ctl)
	conn := clienttest.Dial(t, address)
	conn.ExpectKept(conn.Get("/skipped"))
	conn.ExpectClosed(conn.Get("/"))
}

func TestToMiddlewareSaysThatThereIsNoController(t *testing.T) {
	if _, err := (echov5adapter.Config{}).ToMiddleware(); err == nil || !strings.Contains(err.Error(), "Config.Controller is nil") {
		t.Errorf("the error is %v", err)
	}
	if _, err := (echov5adapter.Config{Controller: servertest.NewController(t)}).ToMiddleware(); err != nil {
		t.Error(err)
	}
}

func TestAnErrorHandlerOfTheUsersOwnIsSeenWithItsStatus(t *testing.T) {
	ctl := servertest.NewController(t, core.OnStatus(http.StatusTeapot))
	e := newEngine()
	e.HTTPErrorHandler = func(c *echo.Context, _ error) { c.NoContent(http.StatusTeapot) }
	e.Use(middleware.Gzip(), echov5adapter.Middleware(ctl))
	e.GET("/", func(*echo.Context) error { return errors.New("no") })
	conn := clienttest.Dial(t, conformance.Serve(t, e, ctl))
	conn.ExpectClosed(conn.Get("/", "Accept-Encoding: gzip"))
}

// echo answers HEAD for a GET route with a writer of its own, which waits for the
// handler's end.
func TestTheStatusOfAnAutomaticHEADIsTheHandlers(t *testing.T) {
	ctl := servertest.NewController(t, core.OnStatus(http.StatusTeapot))
	e := echo.NewWithConfig(echo.Config{Router: echo.NewRouter(echo.RouterConfig{AutoHandleHEAD: true})})
	e.Use(echov5adapter.Middleware(ctl))
	onRoute := echov5adapter.Middleware(ctl) // below echo's writer
	e.GET("/teapot", func(c *echo.Context) error { return c.String(http.StatusTeapot, "short and stout") }, onRoute)
	e.GET("/kettle", func(c *echo.Context) error { return c.String(http.StatusOK, "tall") }, onRoute)
	address := conformance.Serve(t, e, ctl)
	for path, closes := range map[string]bool{"/teapot": true, "/kettle": false} {
		conn := clienttest.Dial(t, address)
		conn.Send(clienttest.Request(http.MethodHead, path))
		response, err := http.ReadResponse(bufio.NewReader(conn.Conn), &http.Request{Method: http.MethodHead})
		if err != nil {
			t.Fatal(err)
		}
		if response.ContentLength <= 0 {
			t.Errorf("%s: the content length is %d", path, response.ContentLength)
		}
		if response.Close != closes {
			t.Errorf("%s: a close was announced: %v", path, response.Close)
		}
		if closes {
			conn.ExpectEnd()
		} else {
			conn.ExpectOpen()
		}
	}
}

func TestANilControllerChangesNothing(t *testing.T) {
	e := newEngine()
	e.Use(echov5adapter.Middleware(nil), echov5adapter.Sensitive(nil), echov5adapter.MiddlewareWithConfig(echov5adapter.Config{}))
	e.GET("/", empty)
	conn := clienttest.Dial(t, conformance.Serve(t, e, nil))
	conn.ExpectKept(conn.Get("/"))
}

// Middleware of Pre runs before the router, so the route is asked late.
func TestTheRouteIsSeenFromPre(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/users/:id"))
	e := newEngine()
	e.Pre(echov5adapter.Middleware(ctl), func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			if c.Request().URL.Path == "/me" {
				c.Request().URL.Path = "/users/7" // as echo's Rewrite does
			}
			return next(c)
		}
	})
	e.GET("/users/:id", func(c *echo.Context) error { return c.String(http.StatusOK, "hello") })
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
	e.Use(echov5adapter.MiddlewareWithConfig(echov5adapter.Config{
		Controller: ctl,
		Skipper:    func(c *echo.Context) bool { return c.Path() == "/skipped" },
	}))
	e.GET("/skipped", empty)
	e.GET("/", empty)
	conn := clienttest.Dial(t, conformance.Serve(t, e, ctl))
	conn.ExpectKept(conn.Get("/skipped"))
	conn.ExpectKept(conn.Get("/skipped"))
	conn.ExpectClosed(conn.Get("/"))
}

// What a program asks of its own engine is answered to a recorder. That the engine
// skips it says nothing about the response that goes to the client.
func TestASubRequestThatIsSkippedDoesNotSkipItsExchange(t *testing.T) {
	ctl := servertest.NewController(t)
	e := newEngine()
	e.Use(echov5adapter.MiddlewareWithConfig(echov5adapter.Config{
		Controller: ctl,
		Skipper:    func(c *echo.Context) bool { return c.Path() == "/skipped" },
	}))
	e.GET("/skipped", empty)
	e.GET("/batch", func(c *echo.Context) error {
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

// A handler may have echo's router look for another route and serve that one.
func TestTheRouteThatAHandlerGoesOnToCounts(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/accounts/:id/keys"))
	e := newEngine()
	e.Use(echov5adapter.Middleware(ctl))
	e.GET("/accounts/:id/keys", empty)
	e.GET("/other", empty)
	for alias, target := range map[string]string{"/my-keys": "/accounts/7/keys", "/alias": "/other"} {
		e.GET(alias, func(c *echo.Context) error {
			c.Request().URL.Path = target
			return e.Router().Route(c)(c)
		})
	}
	address := conformance.Serve(t, e, ctl)
	for path, closes := range map[string]bool{"/my-keys": true, "/alias": false} {
		conn := clienttest.Dial(t, address)
		conn.ExpectClosedIf(closes, conn.Get(path))
	}
}
