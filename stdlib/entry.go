package stdlib

import (
	"io"
	"net/http"

	"github.com/politeclose/politeclose/core"
)

// enter puts an entry in front of srv.Handler unless its own is there. It
// runs when the server is tracked, and again when it begins to serve: somebody
// may have set the field since, as echo's Start does. The field must not be
// written later, when requests read it.
//
// A handler that was put around our entry, or that is another server's entry, has
// a new one in front of it. The one below then does nothing.
func (t *tracker) enter(srv *http.Server) {
	t.entering.Lock()
	defer t.entering.Unlock()
	if entry, ok := srv.Handler.(*core.Entry); ok && entry == t.entry {
		return
	}
	var handler http.Handler = defaultServeMux{}
	if srv.Handler != nil {
		handler = srv.Handler
	}
	t.entry = core.NewEntry(t.ctl, &behindEntry{t, handler, t.answersOptions})
	t.entry.Advertise(t.keepAlive)
	srv.Handler = t.entry
}

// defaultServeMux is http.DefaultServeMux as net/http uses it, which looks the
// variable up for each request.
type defaultServeMux struct{}

func (defaultServeMux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.DefaultServeMux.ServeHTTP(w, r)
}

// behindEntry stands between the entry and the server's handler, for the few
// requests that are not simply the handler's.
type behindEntry struct {
	tracker        *tracker
	next           http.Handler
	answersOptions bool
}

func (h *behindEntry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.RequestURI == "*" && r.Method == http.MethodOptions && h.answersOptions {
		answerOptions(w, r)
	} else if toCome := prefaceToCome(r); toCome > 0 {
		h.tracker.followHijacker(h.next, w, r, toCome)
	} else {
		h.next.ServeHTTP(w, r)
	}
}

// answerOptions answers "OPTIONS *" as net/http does in front of a server's
// handler, where nothing could announce on it: a client that asks nothing else
// would hold a drain to its timeout.
func answerOptions(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "0")
	if r.ContentLength != 0 {
		// Beyond 4 KB net/http's own writer is told to close the connection.
		limited := http.MaxBytesReader(netHTTPWriter(w), r.Body, 4<<10)
		_, _ = io.Copy(io.Discard, limited)
	}
}

func netHTTPWriter(w http.ResponseWriter) http.ResponseWriter {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = u.Unwrap()
	}
}
