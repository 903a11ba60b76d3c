// Package accesslog shows how the reason for which a connection ends gets into an
// access log, beside the request with which it was announced: [core.Announced], and
// [core.ConnectionID] to find the connection in events and on the status page.
// Each function is for another framework's logger; copy the one that you need.
package accesslog

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/politeclose/politeclose/core"
)

// attributes is what each of the loggers adds.
func attributes(r *http.Request) []slog.Attr {
	attrs := []slog.Attr{slog.Uint64("connection", core.ConnectionID(r.Context()))}
	if reason, announced := core.Announced(r.Context()); announced {
		attrs = append(attrs, slog.String("closes", string(reason)))
	}
	return attrs
}

// Slog logs with net/http and log/slog alone.
func Slog(logger *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began := time.Now()
			status := &statusWriter{ResponseWriter: w, status: http.StatusOK}
			next.ServeHTTP(status, r)
			logger.LogAttrs(r.Context(), slog.LevelInfo, "request", append([]slog.Attr{
				slog.String("method", r.Method), slog.String("path", r.URL.Path),
				slog.Int("status", status.status), slog.Duration("took", time.Since(began)),
			}, attributes(r)...)...)
		})
	}
}

// statusWriter remembers the status. What else the writer can do is reached through
// http.ResponseController.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
