package echoadapter_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echoadapter"
	"github.com/politeclose/politeclose/stdlib"
)

func serve(ctx context.Context, addr string) (stdlib.Report, error) {
	ctl, err := core.New(core.OnRoutes("/accounts/:id/keys"))
	if err != nil {
		return stdlib.Report{}, err
	}

	e := echo.New()
	e.Use(echoadapter.Middleware(ctl), middleware.Recover())
	e.GET("/accounts/:id/keys", keys)
	e.POST("/login", login, echoadapter.Sensitive(ctl))
	e.GET("/readyz", echo.WrapHandler(stdlib.Ready(ctl)))

	srv := &http.Server{Addr: addr, Handler: e}
	return stdlib.Serve(ctx, srv, ctl, stdlib.Signals())
}

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a program ends with a signal
	report, err := serve(ctx, "127.0.0.1:0")
	fmt.Println("forced:", report.Forced, "error:", err)
	// Output: forced: 0 error: <nil>
}

// The rule is in the router's own syntax, which the middleware understands.
func ExampleMiddleware() {
	ctl, _ := core.New(core.OnRoutes("/accounts/:id/keys"))
	e := echo.New()
	e.Use(echoadapter.Middleware(ctl))
	e.GET("/accounts/:id/keys", keys)
	e.POST("/login", login)

	srv := httptest.NewUnstartedServer(e)
	stdlib.Track(srv.Config, ctl)
	srv.Start()
	defer srv.Close()
	response, _ := srv.Client().Get(srv.URL + "/accounts/7/keys")
	fmt.Println("the connection ends after the keys:", response.Close)
	response, _ = srv.Client().Post(srv.URL+"/login", "", nil)
	fmt.Println("the connection ends after the login:", response.Close)
	// Output:
	// the connection ends after the keys: true
	// the connection ends after the login: false
}

func ExampleSensitive() {
	ctl, _ := core.New()
	e := echo.New()
	e.GET("/accounts/:id/keys", keys)
	e.POST("/login", login, echoadapter.Sensitive(ctl))

	srv := httptest.NewUnstartedServer(e)
	stdlib.Track(srv.Config, ctl)
	srv.Start()
	defer srv.Close()
	response, _ := srv.Client().Get(srv.URL + "/accounts/7/keys")
	fmt.Println("the connection ends after the keys:", response.Close)
	response, _ = srv.Client().Post(srv.URL+"/login", "", nil)
	fmt.Println("the connection ends after the login:", response.Close)
	// Output:
	// the connection ends after the keys: false
	// the connection ends after the login: true
}

func ExampleMiddlewareWithConfig() {
	ctl, _ := core.New()
	ctl.Drain()
	e := echo.New()
	e.Use(echoadapter.MiddlewareWithConfig(echoadapter.Config{
		Controller: ctl,
		Skipper:    func(c echo.Context) bool { return c.Path() == "/login" },
	}))
	e.GET("/accounts/:id/keys", keys)
	e.POST("/login", login)

	srv := httptest.NewUnstartedServer(e)
	stdlib.Track(srv.Config, ctl)
	srv.Start()
	defer srv.Close()
	response, _ := srv.Client().Get(srv.URL + "/accounts/7/keys")
	fmt.Println("the connection ends after the keys:", response.Close)
	response, _ = srv.Client().Post(srv.URL+"/login", "", nil)
	fmt.Println("the connection ends after the login:", response.Close)
	// Output:
	// the connection ends after the keys: true
	// the connection ends after the login: false
}

func keys(c echo.Context) error  { return c.String(http.StatusOK, c.Param("id")) }
func login(c echo.Context) error { return c.String(http.StatusOK, "welcome") }
