package goaway

import (
	"crypto/tls"
	"net"
	"net/http"
)

// handOver serves HTTP/2 through what a server has under unencrypted: until Go
// 1.26 that is net/http's own, or golang.org/x/net/http2's where the user
// configured that. It takes its connection out of a tls.Conn, the only one that
// TLSNextProto's type knows.
func handOver(take func(*http.Server, *tls.Conn, http.Handler)) backend {
	return func(srv *http.Server, c net.Conn, h http.Handler) {
		take(srv, tls.Client(envelope{conn: c}, nil), h)
	}
}

type envelope struct {
	net.Conn
	conn net.Conn
}

func (e envelope) UnencryptedNetConn() net.Conn { return e.conn }
