package accesslog

import (
	"log/slog"
	"net/http"

	"github.com/go-chi/httplog/v3"
)

// Chi logs with chi's httplog.
func Chi(logger *slog.Logger) func(http.Handler) http.Handler {
	return httplog.RequestLogger(logger, &httplog.Options{
		Level:  slog.LevelInfo,
		Schema: httplog.SchemaECS.Concise(true),
		LogExtraAttrs: func(r *http.Request, _ string, _ int) []slog.Attr {
			return attributes(r)
		},
	})
}
