package ginadapter_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/ginadapter"
	"github.com/politeclose/politeclose/stdlib"
)

func serve(ctx context.Context, addr string) (stdlib.Report, error) {
	ctl, err := core.New(core.OnRoutes("/accounts/:id/keys"))
	if err != nil {
		return stdlib.Report{}, err
	}

	r := gin.New()
	r.Use(ginadapter.Middleware(ctl), gin.Recovery())
	r.GET("/accounts/:id/keys", keys)
	r.POST("/login", ginadapter.Sensitive(ctl), login)
	r.GET("/readyz", gin.WrapH(stdlib.Ready(ctl)))

	srv := &http.Server{Addr: addr, Handler: r}
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
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl))
	r.GET("/accounts/:id/keys", keys)
	r.POST("/login", login)

	srv := httptest.NewUnstartedServer(r)
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
	r := gin.New()
	r.GET("/accounts/:id/keys", keys)
	r.POST("/login", ginadapter.Sensitive(ctl), login)

	srv := httptest.NewUnstartedServer(r)
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

func keys(c *gin.Context)  { c.String(http.StatusOK, c.Param("id")) }
func login(c *gin.Context) { c.String(http.StatusOK, "welcome") }
