package stdlib

import (
	"net"

	"github.com/politeclose/politeclose/core"
)

// Listener returns inner with connections that end without destroying the last
// response: once the end of such a connection has been announced, its Close sends
// the FIN and goes on reading, in the background, until the client has closed too
// (RFC 9112 §9.6). It belongs below TLS. [Serve] uses it by itself; who calls
// http.Server.Serve wraps the listener with it and the server with [Track].
//
// The connections embed *net.TCPConn. They clear a deadline only if one was set
// through them, because net/http clears several for each request. Connections of
// any other type pass through as they are, and so does everything where an argument
// is nil.
func Listener(inner net.Listener, ctl *core.Controller) net.Listener {
	if l, ok := inner.(*listener); inner == nil || ctl == nil || ok && l.ctl == ctl {
		return inner
	}
	return &listener{inner, ctl}
}

type listener struct {
	net.Listener
	ctl *core.Controller
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp, ctl: l.ctl}, nil
	}
	return c, nil
}
