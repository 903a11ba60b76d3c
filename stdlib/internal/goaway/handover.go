package goaway

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// handOver serves HTTP/2 through what a server has under unencrypted: until Go
// 1.26 that is net/http's own, or golang.org/x/net/http2's where the user
// configured that. It takes its connection out of a tls.Conn, and its context out
// of the handler.
//
// net/http's copies the server's timeouts when it is made, so that it is made with
// the first connection: before that the user may still set them. given is what the
// user had in TLSNextProto; own is what it came to at Install.
type handOver struct {
	given, own protocols
	first      sync.Once
}

func (o *handOver) serve(srv *http.Server, c net.Conn, h http.Handler) {
	o.first.Do(func() {
		if like, err := ownHTTP2(srv, o.given); err == nil && like.TLSNextProto[unencrypted] != nil {
			o.own = like.TLSNextProto
		}
	})
	o.own[unencrypted](srv, tls.Client(envelope{conn: c}, nil), h)
}

type envelope struct {
	net.Conn
	conn net.Conn
}

func (e envelope) UnencryptedNetConn() net.Conn { return e.conn }
