package stdlib

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/politeclose/politeclose/stdlib/internal/goaway"
)

const http2Hijacked = "a handler serves HTTP/2 on connections that it has hijacked (golang.org/x/net/http2/h2c, gin's UseH2C, echo's StartH2CServer): " +
	"a drain ends them, but the other rules see only requests that come to a middleware; " +
	"set SetUnencryptedHTTP2 in http.Server.Protocols instead"

// The two halves of the preface of HTTP/2 (RFC 9113 §3.4). The first one is a
// request to an HTTP/1 server.
const (
	prefaceRequest = "PRI * HTTP/2.0\r\n\r\n"
	prefaceRest    = "SM\r\n\r\n"
)

// prefaceToCome returns how much of the preface follows a request with which HTTP/2
// may begin, 0 for any other one.
func prefaceToCome(r *http.Request) int {
	if r.ProtoMajor == 2 && r.Method == "PRI" {
		return len(prefaceRest)
	}
	if to := r.Header["Upgrade"]; len(to) > 0 && strings.EqualFold(to[0], "h2c") {
		return len(prefaceRequest + prefaceRest)
	}
	return 0
}

// followHijacker is for requests with which all of a connection's HTTP/2 comes to
// the handler, because net/http does not speak it there:
//
//   - the preface, in cleartext. A handler that knows it hijacks the connection;
//   - one with Upgrade: h2c (RFC 7540 §3.2), likewise;
//   - the preface, on a TLS connection of the listener's own type, which net/http
//     would have served since Go 1.27 if it was not for us.
func (t *tracker) followHijacker(next http.Handler, w http.ResponseWriter, r *http.Request, toCome int) {
	own, ok := w.(http1Writer)
	switch {
	case !ok:
		next.ServeHTTP(w, r)
	case r.ProtoMajor == 2 && r.TLS != nil && goaway.ServesAnyTLS():
		t.serveTLS(own, r)
	default:
		next.ServeHTTP(hijackedHTTP2{own, t, r, toCome}, r)
	}
}

// http1Writer is what net/http's own writer can do on HTTP/1.
type http1Writer interface {
	http.ResponseWriter
	http.Flusher
	FlushError() error
	http.CloseNotifier //nolint:staticcheck // old handlers still look for it
	http.Hijacker
	io.ReaderFrom
	io.StringWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
}

// hijackedHTTP2 is the writer of a request with which HTTP/2 may begin.
type hijackedHTTP2 struct {
	http1Writer
	tracker *tracker
	request *http.Request
	toCome  int // of the preface
}

func (w hijackedHTTP2) Unwrap() http.ResponseWriter { return w.http1Writer }

// Hijack returns a connection whose frames are followed. The bufio.Writer passes it
// by: the answer to an Upgrade is not a frame.
func (w hijackedHTTP2) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := w.http1Writer.Hijack()
	if err != nil {
		return nil, nil, err
	}
	srv, ok := w.request.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return c, rw, nil
	}
	w.tracker.ctl.Impair(http2Hijacked)
	followed := goaway.Hijacked(srv, c, unread(rw), w.toCome)
	w.tracker.openHTTP2(followed)
	return followed, bufio.NewReadWriter(bufio.NewReader(followed), bufio.NewWriter(c)), nil
}

func unread(rw *bufio.ReadWriter) []byte {
	b, _ := rw.Peek(rw.Reader.Buffered())
	return bytes.Clone(b)
}

// serveTLS serves HTTP/2 on a TLS connection of the listener's own type. For the
// hook it was never hijacked.
func (t *tracker) serveTLS(w http1Writer, r *http.Request) {
	c, rw, err := w.Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	overTLS, isTLS := c.(tlsConn)
	if !ok || !isTLS {
		return
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { srv.Handler.ServeHTTP(w, r) })
	goaway.ServeTLS(r.Context(), srv, overTLS, append([]byte(prefaceRequest), unread(rw)...), handler)
	srv.ConnState(c, http.StateClosed)
}

type tlsConn interface {
	net.Conn
	ConnectionState() tls.ConnectionState
}
