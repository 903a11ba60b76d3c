// Command chi is a chi server that drains on SIGTERM or Ctrl-C.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/politeclose/politeclose/chiadapter"
	"github.com/politeclose/politeclose/core"
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
	ctl, err := core.New(core.OnRoutes("/accounts/{id:[0-9]+}/keys"))
	if err != nil {
		return err
	}

	r := chi.NewRouter()
	r.Use(chiadapter.Middleware(ctl)) // for the pattern with a regular expression
	r.Use(middleware.RequestID, middleware.Logger, middleware.Recoverer)
	r.Use(middleware.Timeout(20*time.Second), middleware.Compress(5))
	r.Get("/", hello)
	r.Get("/accounts/{id:[0-9]+}/keys", keys)
	r.With(chiadapter.Sensitive(ctl)).Post("/login", login)
	r.Method(http.MethodGet, "/readyz", stdlib.Ready(ctl))

	// Longer than the 60 s of nginx and AWS, so that they close first.
	srv := &http.Server{Addr: addr, Handler: r, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	_, err = stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals(),
		stdlib.OnListening(func(a net.Addr) { fmt.Printf("listening on http://%v\n", a) }))
	return err
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }
func keys(w http.ResponseWriter, r *http.Request)  { fmt.Fprintln(w, "keys of", chi.URLParam(r, "id")) }
func login(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "welcome") }
