// Command example is an echo v5 server that drains on SIGTERM or Ctrl-C.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/echov5adapter"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` that serves /, /accounts/7/keys, /login and /readyz; port 0 takes a free one")
	flag.Parse()
	if err := serve(*addr); err != nil {
		log.Fatal(err)
	}
}

func serve(addr string) error {
	ctl, err := core.New(core.OnRoutes("/accounts/:id/keys"))
	if err != nil {
		return err
	}

	e := echo.New()
	e.Pre(middleware.RemoveTrailingSlash())
	e.Use(echov5adapter.Middleware(ctl)) // for the pattern in echo's syntax
	e.Use(middleware.RequestID(), middleware.RequestLogger(), middleware.Recover(), middleware.Gzip())
	e.Use(middleware.ContextTimeout(20 * time.Second))
	e.GET("/", hello)
	e.GET("/accounts/:id/keys", keys)
	e.POST("/login", login, echov5adapter.Sensitive(ctl))
	e.GET("/readyz", echo.WrapHandler(stdlib.Ready(ctl)))

	// Longer than the 60 s of nginx and AWS, so that they close first.
	srv := &http.Server{Addr: addr, Handler: e, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	_, err = stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals(),
		stdlib.OnListening(func(a net.Addr) { fmt.Printf("listening on http://%v\n", a) }))
	return err
}

func hello(c *echo.Context) error { return c.String(http.StatusOK, "hello\n") }
func keys(c *echo.Context) error  { return c.String(http.StatusOK, "keys of "+c.Param("id")+"\n") }
func login(c *echo.Context) error { return c.String(http.StatusOK, "welcome\n") }
