// Package statuspage shows people what a politeclose Controller does: one handler
// for a page and for the same as JSON.
package statuspage

import (
	"encoding/json"
	"net/http"

	"github.com/politeclose/politeclose/core"
)

// Option configures [Handler].
type Option func(*handler)

// Handler returns the handler of the page: connections, announced closes of the
// last five minutes, rules, patterns and signals, and during a drain its phase and
// the connections that are still open. A request that prefers application/json
// gets the same as JSON.
//
// The page can be read without JavaScript, and updates itself with it. It loads
// nothing, its Content-Security-Policy allows no other origin, and nothing of it is
// cached. Put it on a server for operators, which outlives the one that drains:
// it shows clients' addresses and the routes of their requests. It works at any
// path, and for GET, HEAD and, with [Controls], POST.
//
// A request costs some microseconds, during a drain more with each open
// connection. It is safe for concurrent use. With a nil Controller it answers 503.
func Handler(ctl *core.Controller, opts ...Option) http.Handler {
	if ctl == nil {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "this program has no Controller", http.StatusServiceUnavailable)
		})
	}
	h := &handler{ctl: ctl}
	for _, opt := range opts {
		if opt != nil {
			opt(h)
		}
	}
	return h
}

type handler struct {
	ctl      *core.Controller
	controls *controls // nil where the page only shows
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Vary", "Accept")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		h.show(w, r, http.StatusOK, "")
	case r.Method == http.MethodPost && h.controls != nil:
		status, refusal := h.controls.use(h.ctl, w, r)
		if status == http.StatusOK && !prefersJSON(r.Header) {
			header.Set("Location", "?") // the page itself, wherever it is
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		h.show(w, r, status, refusal)
	default:
		header.Set("Allow", h.allowed())
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	}
}

func (h *handler) allowed() string {
	if h.controls == nil {
		return "GET, HEAD"
	}
	return "GET, HEAD, POST"
}

// show answers with what there is now. refusal says why a control was refused.
func (h *handler) show(w http.ResponseWriter, r *http.Request, status int, refusal string) {
	v := look(h.ctl)
	v.Refusal = refusal
	if prefersJSON(r.Header) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // to a client that has left
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, pageData{view: v, Controls: h.controls != nil, Style: style, Script: script})
}
