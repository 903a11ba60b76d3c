// Command chi is a small chi server that drains on SIGTERM. Run it, talk to it
// with curl, and see -help for its rules.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/politeclose/politeclose/chiadapter"
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
	r := chi.NewRouter()
	r.Use(chiadapter.Middleware(ctl), middleware.Recoverer)
	r.HandleFunc("/", hello)
	r.Get("/slow", slow)
	r.Get("/stream", stream)
	r.Get("/large", large)
	r.With(chiadapter.Sensitive(ctl)).Post("/login", login)
	r.Method(http.MethodGet, "/readyz", stdlib.Ready(ctl))
	return r
}

func hello(w http.ResponseWriter, _ *http.Request) {
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
