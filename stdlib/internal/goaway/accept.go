package goaway

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"
)

// acceptTLS and acceptUnencrypted are TLSNextProto's functions. Below them a
// goroutine of net/http's waits for as long as the connection lasts, so they are
// one frame each: some hundred bytes more, and its stack is of the next size.
func (i *installed) acceptTLS() func(*http.Server, *tls.Conn, http.Handler) {
	return func(srv *http.Server, c *tls.Conn, h http.Handler) {
		ours := &secure{&Conn{Conn: c, server: i.srv, preface: len(preface)}, c}
		_, ours.strips = i.backend.(*handOver)
		defer i.remove(ours.Conn)
		i.add(ours.Conn, srv)
		i.backend.serve(srv, ours, h)
	}
}

func (i *installed) acceptUnencrypted() func(*http.Server, *tls.Conn, http.Handler) {
	return func(srv *http.Server, c *tls.Conn, h http.Handler) {
		ours := &Conn{Conn: unencryptedConn(c), server: i.srv}
		if ours.Conn == nil {
			return
		}
		defer i.remove(ours)
		i.add(ours, srv)
		i.backend.serve(srv, ours.asServed(), h)
	}
}

// asServed returns what HTTP/2 is to be given: by ServeTLS the connection may be one
// over TLS all the same.
func (c *Conn) asServed() net.Conn {
	if inner, ok := c.Conn.(*begun); ok {
		c.preface = len(preface)
		return &secure{c, inner.Conn.(connectionStater)}
	}
	return c
}

// unencryptedConn returns the connection that net/http hands over in a tls.Conn,
// the only one that TLSNextProto's type knows.
func unencryptedConn(c *tls.Conn) net.Conn {
	if inner, ok := c.NetConn().(interface{ UnencryptedNetConn() net.Conn }); ok {
		return inner.UnencryptedNetConn()
	}
	return nil
}

// secure has what HTTP/2 asks of a connection over TLS.
type secure struct {
	*Conn
	tls connectionStater
}

func (s *secure) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

// idleLimit returns how long a connection may be idle until it is announced: until
// a moment before net/http sends its single GOAWAY, for two round trips.
func idleLimit(srv *http.Server) time.Duration {
	timeout := idleTimeout(srv)
	return timeout - min(timeout/5, time.Second)
}

// idleTimeout is as net/http has it for HTTP/2.
func idleTimeout(srv *http.Server) time.Duration {
	if srv.IdleTimeout != 0 {
		return max(srv.IdleTimeout, 0)
	}
	return max(srv.ReadTimeout, 0)
}

// contextOf returns what net/http passes down to HTTP/2 in its handler.
func contextOf(h http.Handler) context.Context {
	if h, ok := h.(interface{ BaseContext() context.Context }); ok {
		return h.BaseContext()
	}
	return context.Background() // somebody calls TLSNextProto's function by hand
}

// add is called for each connection before it is served.
func (i *installed) add(c *Conn, srv *http.Server) {
	if srv == nil { // somebody calls TLSNextProto's function by hand
		srv = i.srv
	}
	c.begin(idleLimit(srv))
	i.mu.Lock()
	if i.open == nil {
		i.open = make(map[*Conn]struct{})
	}
	i.open[c] = struct{}{}
	closing := i.closing
	i.mu.Unlock()
	if closing {
		c.Announce(reasonDrain)
	}
	i.opened(c)
}

func (i *installed) remove(c *Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, c)
}

// announce is for srv.Shutdown.
func (i *installed) announce() {
	i.mu.Lock()
	i.closing = true
	open := slices.Collect(maps.Keys(i.open))
	i.mu.Unlock()
	for _, c := range open {
		c.Announce(reasonDrain)
	}
}

// Known is for srv.ConnState. It returns the net.Conn for which the hook is called:
// of a Conn, the one that net/http knows from its listener. call is false where the
// hook would not be called without us.
func Known(c net.Conn, state http.ConnState) (known net.Conn, call bool) {
	if ours := unwrap(c); ours != nil {
		return ours.NetConn(), !ours.strips || ours.greeted()
	}
	return c, !isForServeTLS(c, state)
}

// unwrap returns the Conn that c is or has, nil if there is none.
func unwrap(c net.Conn) *Conn {
	switch c := c.(type) {
	case *Conn:
		return c
	case *secure:
		return c.Conn
	}
	return nil
}
