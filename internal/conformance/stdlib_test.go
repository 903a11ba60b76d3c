package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/politeclose/politeclose/internal/conformance"
	"github.com/politeclose/politeclose/stdlib"
)

var stdlibFramework = conformance.Framework{New: newStdlib, Parameter: "{id}"}

func TestStdlib(t *testing.T) { conformance.Run(t, stdlibFramework) }

func BenchmarkStdlib(b *testing.B) { conformance.Benchmark(b, stdlibFramework) }

// newStdlib is a program with http.ServeMux. The layers are chi's, which are made
// for net/http.
func newStdlib(_ testing.TB, app conformance.App) http.Handler {
	mux := http.NewServeMux()
	for _, r := range app.Routes {
		handler := r.Handler
		if handler == nil {
			handler = nativeHandler(r.Native, app.File)
		}
		if r.Sensitive != conformance.NotSensitive {
			handler = stdlib.Sensitive(app.Controller)(handler)
		}
		mux.Handle(r.Method+" "+r.Path, handler)
	}
	var handler http.Handler = mux
	if app.Placement == conformance.Innermost || app.Placement == conformance.Twice {
		handler = stdlib.Middleware(app.Controller)(handler)
	}
	handler = layer(app.Layer)(handler)
	if app.Placement == conformance.Outermost || app.Placement == conformance.Twice {
		handler = stdlib.Middleware(app.Controller)(handler)
	}
	return handler
}

func layer(l conformance.Layer) func(http.Handler) http.Handler {
	switch l {
	case conformance.Recover:
		return func(next http.Handler) http.Handler { return quietly(middleware.Recoverer(next)) }
	case conformance.Gzip:
		return middleware.Compress(5)
	case conformance.Timeout:
		return middleware.Timeout(time.Minute)
	case conformance.Hurry:
		return middleware.Timeout(conformance.HurryTimeout)
	}
	return func(next http.Handler) http.Handler { return next }
}

// quietly gives chi's Recoverer a log entry that swallows its stack traces.
func quietly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, middleware.WithLogEntry(r, noLog{}))
	})
}

type noLog struct{}

func (noLog) Write(int, int, http.Header, time.Duration, any) {}
func (noLog) Panic(any, []byte)                               {}

func nativeHandler(n conformance.Native, file string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n {
		case conformance.Nothing:
		case conformance.StatusOnly:
			w.WriteHeader(http.StatusAccepted)
		case conformance.JSON:
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(map[string]string{"hello": "world"})
		case conformance.Redirect:
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case conformance.File:
			http.ServeFile(w, r, file)
		case conformance.Fail:
			http.Error(w, "conflict", http.StatusConflict)
		case conformance.Stream:
			io.WriteString(w, "one")
			http.NewResponseController(w).Flush()
			io.WriteString(w, "two")
		case conformance.Expired:
			<-r.Context().Done()
			if errors.Is(r.Context().Err(), context.Canceled) {
				fmt.Fprint(w, "cancelled")
			}
		}
	})
}
