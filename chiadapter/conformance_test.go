package chiadapter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/politeclose/politeclose/chiadapter"
	"github.com/politeclose/politeclose/internal/conformance"
)

var framework = conformance.Framework{New: newRouter, Parameter: "{id}"}

func TestConformance(t *testing.T) { conformance.Run(t, framework) }

func newRouter(_ testing.TB, app conformance.App) http.Handler {
	r := chi.NewRouter()
	if app.Placement == conformance.Outermost || app.Placement == conformance.Twice {
		r.Use(chiadapter.Middleware(app.Controller))
	}
	r.Use(layer(app.Layer)...)
	if app.Placement == conformance.Innermost || app.Placement == conformance.Twice {
		r.Use(chiadapter.Middleware(app.Controller))
	}
	for _, route := range app.Routes {
		handler := route.Handler
		if handler == nil {
			handler = native(route.Native, app.File)
		}
		switch route.Sensitive {
		case conformance.OnRoute:
			r.With(chiadapter.Sensitive(app.Controller)).Method(route.Method, route.Path, handler)
		case conformance.OnGroup:
			r.Group(func(r chi.Router) {
				r.Use(chiadapter.Sensitive(app.Controller))
				r.Method(route.Method, route.Path, handler)
			})
		default:
			r.Method(route.Method, route.Path, handler)
		}
	}
	return r
}

func layer(l conformance.Layer) chi.Middlewares {
	switch l {
	case conformance.Recover:
		return chi.Chain(quietly, middleware.Recoverer)
	case conformance.Gzip:
		return chi.Chain(middleware.Compress(5))
	case conformance.Timeout:
		return chi.Chain(middleware.Timeout(time.Minute))
	case conformance.Hurry:
		return chi.Chain(middleware.Timeout(conformance.HurryTimeout))
	}
	return nil
}

// quietly gives Recoverer a log entry that swallows its stack traces.
func quietly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, middleware.WithLogEntry(r, noLog{}))
	})
}

type noLog struct{}

func (noLog) Write(int, int, http.Header, time.Duration, any) {}
func (noLog) Panic(any, []byte)                               {}

func native(n conformance.Native, file string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
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
	}
}
