package core

import (
	"net/http"
	"sync/atomic"
	"unsafe"
)

// Entry is the handler that a server puts in front of its own: it sees exactly
// the requests that the server hands out, and the server's own ResponseWriter.
// Nothing above it can take an announcement away, answer in its place or hide
// an interface, and nothing below it sees the announcement. It is for servers;
// stdlib.Track is the one for net/http. It is safe for concurrent use.
type Entry struct {
	ctl       *Controller
	next      http.Handler
	keepAlive atomic.Pointer[[]string]
	// The types of the server's own writers, as typeOf has them, once known, so that
	// not every request has to ask what its writer can do.
	http1Type, http2Type atomic.Uintptr
}

// NewEntry returns an Entry that begins an exchange of ctl, hands the request
// on to next, and ends the exchange. Neither may be nil. It costs one allocation
// per request, which over HTTP/2 has the request's copy in it.
func NewEntry(ctl *Controller, next http.Handler) *Entry {
	return &Entry{ctl: ctl, next: next}
}

// Advertise makes responses that keep an HTTP/1 connection carry this
// Keep-Alive field, such as "timeout=5"; "" is none. A response that carries
// one of the handler's keeps that. It is left out where net/http may still
// close the connection by its own word: on HTTP/1.0, where the request has a
// body that is longer than 256 KB, of unknown length or waits for a 100 Continue,
// where the handler has set a Transfer-Encoding, and once the server is shut down.
func (n *Entry) Advertise(keepAlive string) {
	if keepAlive == "" {
		n.keepAlive.Store(nil)
		return
	}
	n.keepAlive.Store(&[]string{keepAlive})
}

// ServeHTTP serves one request, as [NewEntry] says.
func (n *Entry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	shape, servers := n.shapeOf(w)
	if r.ProtoMajor == 2 && shape == http1Shaped {
		// Not a request but the preface of HTTP/2 (RFC 9113 §3.4), which net/http
		// hands on where it does not speak that itself. What comes of it is not to
		// be part of an exchange.
		n.next.ServeHTTP(w, r)
		return
	}
	r, e := n.begin(r, servers)
	if !servers {
		e.joinBelow(w)
	}
	if !e.Decides() {
		defer e.End()
		n.next.ServeHTTP(e.Writer(w), r)
		return
	}
	returned := false
	defer func() { e.finish(returned) }()
	n.next.ServeHTTP(e.wrapAs(shape, w), r)
	returned = true
}

// shapeOf returns the shape of a writer, and whether it may be the server's own.
func (n *Entry) shapeOf(w http.ResponseWriter) (s shape, servers bool) {
	switch typeOf(w) {
	case n.http1Type.Load():
		return http1Shaped, true
	case n.http2Type.Load():
		return http2Shaped, true
	}
	s = shapeOf(w)
	servers = s != oddShaped && !isWrapped(w)
	switch {
	case servers && s == http1Shaped:
		n.http1Type.Store(typeOf(w))
	case servers:
		n.http2Type.Store(typeOf(w))
	}
	return s, servers
}

// typeOf identifies the dynamic type of a writer. It is the first word of the
// interface value, which is the same for all values of one type, and another one
// for any other; reflect tells it as well, but takes longer.
func typeOf(w http.ResponseWriter) uintptr { return *(*uintptr)(unsafe.Pointer(&w)) }

// begin begins the connection's own exchange where the request is the server's:
// the writer is net/http's, and on HTTP/1 no other request of the connection is
// under way. A program may call the Entry too, with requests of its own.
func (n *Entry) begin(r *http.Request, servers bool) (*http.Request, *Exchange) {
	conn, ok := r.Context().Value(contextKey{}).(*Connection)
	if !servers || !ok || conn.ctl != n.ctl {
		return n.ctl.Begin(r)
	}
	bits := conn.bits.Load()
	if bits&bitEntered == 0 {
		conn.set(bitEntered)
	}
	if retired(bits) {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's own way to end a request without an answer
	}
	if r.ProtoMajor == 2 {
		return conn.beginStream(r, atTheEntry)
	}
	if conn.current.Load() != nil {
		return n.ctl.Begin(r)
	}
	known := uint32(0)
	if value := n.keepAlive.Load(); value != nil && keepsConnection(r) {
		conn.sharedRecord().keepAlive.Store(value)
		known |= stateAdvertises
	}
	return r, conn.beginOwn(r, atTheEntry, known)
}

// longestDiscarded is net/http's maxPostHandlerReadBytes.
const longestDiscarded = 256 << 10

// keepsConnection reports whether net/http will keep the connection whatever
// the handler reads of the body. Behind a longer body that was not read, and
// where the client still waits for its 100 Continue, it closes by its own word.
func keepsConnection(r *http.Request) bool {
	return r.ProtoAtLeast(1, 1) && !r.Close && (r.ContentLength == 0 ||
		r.ContentLength > 0 && r.ContentLength < longestDiscarded && r.Header["Expect"] == nil)
}

// finish ends the exchange. A handler that returned without a word is answered
// here, so that the announcement is gone from its header map when it is; one
// that panicked has its connection closed, or its stream reset, by net/http.
func (e *Exchange) finish(returned bool) {
	if !returned {
		e.end(e.state.Load()&stateTold != 0)
		return
	}
	before := e.state.Or(stateCommitted | stateEnded | stateNotInFlight)
	if before&stateCommitted == 0 {
		e.concludeImplicitly(before)
	}
	e.tell()
	e.ended(before, true)
}
