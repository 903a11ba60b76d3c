package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/promadapter"
	"github.com/politeclose/politeclose/statuspage"
	"github.com/politeclose/politeclose/stdlib"
)

// startAdmin starts the server for operators. It is not known to ctl: it answers
// until the very end, and its own connections are nobody's business.
func startAdmin(addr string, ctl *core.Controller, logger *slog.Logger) (*http.Server, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(promadapter.NewCollector(ctl), collectors.NewGoCollector())

	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") })
	mux.Handle("GET /readyz", stdlib.Ready(ctl))
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	// Without the variable the page only shows.
	mux.Handle("/{$}", statuspage.Handler(ctl, statuspage.Controls(os.Getenv("STATUS_TOKEN"))))

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			logger.Error("the operators' server failed", "error", err)
		}
	}()
	logger.Info("listening", "server", "admin", "address", listener.Addr().String())
	return srv, nil
}
