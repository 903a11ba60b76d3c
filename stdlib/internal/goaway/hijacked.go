package goaway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Hijacked returns a Conn for a connection that a handler has hijacked and serves
// HTTP/2 on by itself, such as that of golang.org/x/net/http2/h2c. read is what has
// been read of it and not used, and preface how much of the client's preface there
// is still to come, from there on.
func Hijacked(srv *http.Server, c net.Conn, read []byte, preface int) *Conn {
	ours := &Conn{Conn: &begun{c, read}, server: srv, preface: preface}
	ours.begin(idleLimit(srv))
	return ours
}

// ServesAnyTLS reports whether net/http by itself serves HTTP/2 on a listener's
// connection that is no *tls.Conn, but has its ConnectionState: since Go 1.27. It
// does not where TLSNextProto is set, as Install does, and takes what comes on it
// for HTTP/1: [ServeTLS] is for that.
var ServesAnyTLS = sync.OnceValue(func() bool { return register(new(http.Server)) != nil })

// ServeTLS serves HTTP/2 on such a connection of a server with Install, and returns
// when it is closed. read is what has been read of it, and ctx its context.
func ServeTLS(ctx context.Context, srv *http.Server, c interface {
	net.Conn
	connectionStater
}, read []byte, h http.Handler) {
	if serve := srv.TLSNextProto[unencrypted]; serve != nil {
		serve(srv, tls.Client(envelope{conn: &begun{c, read}}, nil), handlerWithContext{h, ctx})
	}
}

// isForServeTLS reports whether the hook is called for such a connection with what
// net/http takes for HTTP/1: a request has come, and its connection was hijacked.
func isForServeTLS(c net.Conn, state http.ConnState) bool {
	if !ServesAnyTLS() || state != http.StateActive && state != http.StateHijacked {
		return false
	}
	if _, ok := c.(*tls.Conn); ok {
		return false
	}
	stater, ok := c.(connectionStater)
	return ok && stater.ConnectionState().NegotiatedProtocol == overTLS
}

type connectionStater interface{ ConnectionState() tls.ConnectionState }

type handlerWithContext struct {
	http.Handler
	ctx context.Context
}

func (h handlerWithContext) BaseContext() context.Context { return h.ctx }

// begun is a connection of which something has been read already.
type begun struct {
	net.Conn
	read []byte
}

func (b *begun) Read(p []byte) (int, error) {
	if len(b.read) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.read)
	b.read = b.read[n:]
	return n, nil
}

// CloseWrite ends the direction to the client, where the connection can do that.
func (b *begun) CloseWrite() error {
	if half, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}
