// Command observed is two servers: a public one, which drains on SIGTERM or
// Ctrl-C, and one for operators, which outlives it and shows how that goes. Both
// log in JSON. See docs/observing.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/core/load"
	"github.com/politeclose/politeclose/examples/observed/accesslog"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "public `address`; port 0 takes a free one")
	admin := flag.String("admin", "127.0.0.1:8081", "`address` for operators; others must not reach it")
	stay := flag.Duration("stay", 0, "how long the operators' server stays after a drain, for a last scrape")
	flag.Parse()

	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	lastScrape := func() { time.Sleep(*stay) }
	if err := serve(context.Background(), *addr, *admin, logger, lastScrape, stdlib.Signals()); err != nil {
		logger.Error("the server failed", "error", err)
		os.Exit(1)
	}
}

// serve returns after the drain of the public server, and after what comes before
// the end of the operators' one.
func serve(ctx context.Context, addr, adminAddr string, logger *slog.Logger, lastScrape func(), opts ...stdlib.ServeOption) error {
	ctl, err := core.New(
		core.OnRoutes("/accounts/{id}/keys"),
		core.Exempt("/healthz"),
		core.OnAge(10*time.Minute),
		core.OnLoad(load.InFlight(500, 1000)),
		core.Logger(logger),
	)
	if err != nil {
		return err
	}
	defer ctl.Observe(func(e core.Event) {
		if e.Kind == core.EventGone {
			logger.Info("connection", "event", e)
		}
	})()

	admin, err := startAdmin(adminAddr, ctl, logger)
	if err != nil {
		return err
	}
	defer admin.Close()

	srv := &http.Server{
		Addr:              addr,
		Handler:           accesslog.Slog(logger)(routes(ctl)),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       75 * time.Second, // longer than the 60 s of nginx and AWS, so that they close first
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	_, err = stdlib.Serve(ctx, srv, ctl, append(opts,
		stdlib.OnListening(func(a net.Addr) { logger.Info("listening", "server", "public", "address", a.String()) }))...)
	lastScrape()
	return err
}

func routes(ctl *core.Controller) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "healthy") })
	mux.HandleFunc("GET /accounts/{id}/keys", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "keys of", r.PathValue("id"))
	})
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, r *http.Request) {
		select { // takes its time, and is waited for
		case <-time.After(3 * time.Second):
			fmt.Fprintln(w, "the report")
		case <-r.Context().Done():
		}
	})
	mux.Handle("POST /login", stdlib.Sensitive(ctl)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "welcome")
	})))
	return mux
}
