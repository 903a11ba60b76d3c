package stdlib

import (
	"net/http"

	"github.com/politeclose/politeclose/core"
)

// Middleware returns the middleware that ends connections as ctl decides. Put it
// outermost, so that it sees the response that is really sent. Installed twice
// for one Controller, the outer one does the work.
//
// It neither buffers nor delays anything. It costs one allocation per request, none
// where the server is tracked and no middleware above has put a request or a writer
// of its own in the place of the server's. It is safe for concurrent use. The
// ResponseWriter that handlers get has exactly the optional interfaces of the one
// below. With a nil Controller the handler is returned as it is.
//
// Requests that no handler sees, such as OPTIONS * and those that net/http
// answers by itself with a 4xx, see no middleware either.
func Middleware(ctl *core.Controller) func(http.Handler) http.Handler {
	return middleware(ctl, false)
}

// Sensitive returns a middleware for one handler or one subtree after whose
// responses the connection ends, with [core.ReasonRoute]: what [core.OnRoutes]
// does for patterns. It works below [Middleware] and without it. A nil Controller,
// costs and concurrent use are as for Middleware.
func Sensitive(ctl *core.Controller) func(http.Handler) http.Handler {
	return middleware(ctl, true)
}

func middleware(ctl *core.Controller, sensitive bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if ctl == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if w, _, ok := ctl.Supply(w, r, nil, sensitive); ok {
				next.ServeHTTP(w, r)
				return
			}
			r, exchange := ctl.Begin(r)
			returned := false
			defer func() { exchange.EndAfter(returned) }()
			if sensitive {
				exchange.Sensitive()
			}
			next.ServeHTTP(exchange.Writer(w), r)
			returned = true
		})
	}
}
