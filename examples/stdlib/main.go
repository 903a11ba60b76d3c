// Command stdlib is a small net/http server that drains on SIGTERM. Run it, talk
// to it with curl, and see -help for its rules.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/exampleapp"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	settings := exampleapp.Parse()
	ctl, err := core.New(settings.Rules()...)
	exampleapp.Check(err)

	srv := exampleapp.Server(routes(ctl))
	report, err := stdlib.Serve(context.Background(), srv, ctl, settings.Listen()...)
	exampleapp.Finish(ctl, report, err)
}

func routes(ctl *core.Controller) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", hello)
	mux.HandleFunc("GET /slow", slow)
	mux.HandleFunc("GET /stream", stream)
	mux.HandleFunc("GET /large", large)
	mux.Handle("POST /login", stdlib.Sensitive(ctl)(http.HandlerFunc(login)))
	mux.Handle("GET /readyz", stdlib.Ready(ctl))
	return stdlib.Middleware(ctl)(mux)
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "hello")
}

// slow takes a second. A drain waits for it.
func slow(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(time.Second):
		fmt.Fprintln(w, "done")
	case <-r.Context().Done():
	}
}

// stream sends the time until the client leaves or the connection has to go.
func stream(w http.ResponseWriter, r *http.Request) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	leaving := core.Leaving(r.Context())
	for {
		fmt.Fprintln(w, time.Now().Format(time.TimeOnly))
		http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-leaving:
			fmt.Fprintln(w, "bye")
			return
		case <-r.Context().Done():
			return
		}
	}
}

// large sends 8 MB.
func large(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "large.txt", time.Time{}, strings.NewReader(strings.Repeat("politeclose\n", 8<<20/12)))
}

// login is sensitive: its connection ends with its response.
func login(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	fmt.Fprintln(w, "welcome")
}
