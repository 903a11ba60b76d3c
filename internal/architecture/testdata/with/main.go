// Command with is the server of without, served by stdlib.Serve.
package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	srv := &http.Server{Addr: "localhost:8080", Handler: http.NotFoundHandler()}
	ctl, err := core.New()
	if err == nil {
		_, err = stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals())
	}
	slog.Error("serving has ended", "error", err)
}
