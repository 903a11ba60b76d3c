package stdlib

import (
	"io"
	"net/http"

	"github.com/politeclose/politeclose/core"
)

// Ready returns a readiness handler: 200 and "ready" while ctl is not draining, 503
// and "draining" while it is, so that a load balancer stops sending new
// connections. Give the balancer time to notice with [LameDuck]. A nil Controller
// never drains. It is safe for concurrent use, and may call a [core.DrainWhen]
// function, once a second at most.
func Ready(ctl *core.Controller) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		status, body := http.StatusOK, "ready\n"
		if ctl != nil && ctl.Draining() {
			status, body = http.StatusServiceUnavailable, "draining\n"
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}
