package goaway

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

func (i *installed) acceptTLS(srv *http.Server, c *tls.Conn, h http.Handler) {
	ours := &Conn{Conn: c, preface: len(preface)}
	_, ours.strips = i.backend.(*handOver)
	i.accept(srv, &secure{ours, c}, ours, h)
}

func (i *installed) acceptUnencrypted(srv *http.Server, c *tls.Conn, h http.Handler) {
	if inner := unencryptedConn(c); inner != nil {
		ours := &Conn{Conn: inner}
		i.accept(srv, ours, ours, h)
	}
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
	tls *tls.Conn
}

func (s *secure) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

// accept serves c, which is ours or has it.
func (i *installed) accept(srv *http.Server, c net.Conn, ours *Conn, h http.Handler) {
	if srv == nil { // called by hand
		srv = i.srv
	}
	ours.begin(idleLimit(srv))
	i.add(ours)
	defer i.remove(ours)
	i.opened(ours)
	i.backend.serve(srv, c, h)
}

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
	return context.Background() // called by hand
}

func (i *installed) add(c *Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open == nil {
		i.open = make(map[*Conn]struct{})
	}
	i.open[c] = struct{}{}
	if i.closing {
		c.Announce(reasonDrain)
	}
}

func (i *installed) remove(c *Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, c)
}

// announce is for srv.Shutdown.
func (i *installed) announce() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closing = true
	for c := range i.open {
		c.Announce(reasonDrain)
	}
}

// unwrapping returns a hook for srv.ConnState that calls the given one with the
// net.Conn that net/http knows from its listener.
func (i *installed) unwrapping(hook func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(c net.Conn, state http.ConnState) {
		if ours := unwrap(c); ours != nil {
			if ours.strips && !i.greeted(ours) {
				return
			}
			c = ours.Conn
		}
		if hook != nil {
			hook(c, state)
		}
	}
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
