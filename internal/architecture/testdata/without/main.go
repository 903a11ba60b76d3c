// Command without is a server of net/http's.
package main

import (
	"log/slog"
	"net/http"
)

func main() {
	srv := &http.Server{Addr: "localhost:8080", Handler: http.NotFoundHandler()}
	err := srv.ListenAndServe()
	slog.Error("serving has ended", "error", err)
}
