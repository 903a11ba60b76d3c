package goaway

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// handOver serves HTTP/2 through what a server has under unencrypted: until Go
// 1.26 that is net/http's own, or golang.org/x/net/http2's where the user
// configured that. It takes its connection out of a tls.Conn, the only one that
// TLSNextProto's type knows.
//
// net/http's copies the server's timeouts when it is made, so that it is made with
// the first connection: before that the user may still set them. given is what the
// user had in TLSNextProto; first is what it came to at Install.
func handOver(given, first protocols) backend {
	var once sync.Once
	return func(srv *http.Server, c net.Conn, h http.Handler) {
		once.Do(func() {
			if own, err := ownHTTP2(srv, given); err == nil && own[unencrypted] != nil {
				first = own
			}
		})
		first[unencrypted](srv, tls.Client(envelope{conn: c}, nil), h)
	}
}

type envelope struct {
	net.Conn
	conn net.Conn
}

func (e envelope) UnencryptedNetConn() net.Conn { return e.conn }
