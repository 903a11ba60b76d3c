// Command stdlib is a net/http server that drains on SIGTERM or Ctrl-C.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

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
	ctl, err := core.New(core.OnRoutes("/accounts/{id}/keys"))
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", hello)
	mux.HandleFunc("GET /accounts/{id}/keys", keys)
	mux.Handle("POST /login", stdlib.Sensitive(ctl)(http.HandlerFunc(login)))
	mux.Handle("GET /readyz", stdlib.Ready(ctl))

	srv := &http.Server{
		Addr:              addr,
		Handler:           http.TimeoutHandler(mux, 20*time.Second, "too slow\n"),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       75 * time.Second, // longer than the 60 s of nginx and AWS, so that they close first
	}
	_, err = stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals(),
		stdlib.OnListening(func(a net.Addr) { fmt.Printf("listening on http://%v\n", a) }))
	return err
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }
func keys(w http.ResponseWriter, r *http.Request)  { fmt.Fprintln(w, "keys of", r.PathValue("id")) }
func login(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "welcome") }
