// Command gin is a gin server that drains on SIGTERM or Ctrl-C.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/ginadapter"
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

	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(ginadapter.Middleware(ctl)) // for the pattern in gin's syntax
	r.Use(gin.Logger(), gin.Recovery())
	r.GET("/", hello)
	r.GET("/accounts/:id/keys", keys)
	r.POST("/login", ginadapter.Sensitive(ctl), login)
	r.GET("/readyz", gin.WrapH(stdlib.Ready(ctl)))

	// Longer than the 60 s of nginx and AWS, so that they close first.
	srv := &http.Server{Addr: addr, Handler: r, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	_, err = stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals(),
		stdlib.OnListening(func(a net.Addr) { fmt.Printf("listening on http://%v\n", a) }))
	return err
}

func hello(c *gin.Context) { c.String(http.StatusOK, "hello\n") }
func keys(c *gin.Context)  { c.String(http.StatusOK, "keys of %s\n", c.Param("id")) }
func login(c *gin.Context) { c.String(http.StatusOK, "welcome\n") }
