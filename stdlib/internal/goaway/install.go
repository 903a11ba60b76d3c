package goaway

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"sync"
)

// The keys of http.Server.TLSNextProto. The second one is not ALPN's: net/http
// hands over an unencrypted connection under it, whose preface it has read.
const (
	overTLS     = "h2"
	unencrypted = "unencrypted_http2"
)

// backend serves HTTP/2 on c, whose preface has been read, and returns when c is
// closed. h is the handler that net/http gives to a TLSNextProto function.
type backend func(srv *http.Server, c net.Conn, h http.Handler)

// Install makes the HTTP/2 connections of srv Conns: over TLS, and in cleartext
// where srv.Protocols has UnencryptedHTTP2. Each is given to opened before its
// first frame, with the context that srv.ConnContext returned for it. Where
// net/http would not serve HTTP/2 (srv.Protocols, srv.TLSNextProto, GODEBUG),
// Install does nothing.
//
// It is to be called once, after srv is configured and before it serves. It sets
// srv.TLSNextProto, and srv.ConnState to a hook that calls the one it finds there
// with the net.Conn that srv's listener returned. From then on srv.Shutdown
// announces every connection.
//
// Two things are lost to it. On Go 1.26 srv.Shutdown makes net/http send its own
// GOAWAY as soon as a connection has no stream open, without waiting for ours. On
// Go 1.27 net/http also serves HTTP/2 on a listener's connection that is no
// *tls.Conn but has its ConnectionState method, and after Install it does not.
//
// The error is net/http's where it cannot serve HTTP/2 with srv.TLSConfig, and
// otherwise says that HTTP/2 is already served by something that a Conn cannot be
// given to.
func Install(srv *http.Server, opened func(context.Context, *Conn)) error {
	own, err := ownHTTP2(srv, srv.TLSNextProto)
	if err != nil || own[overTLS] == nil {
		return err
	}
	all := &connections{opened: opened}
	switch {
	case own[unencrypted] != nil:
		all.serve = handOver(srv.TLSNextProto, own)
	case srv.TLSNextProto[overTLS] == nil:
		all.serve = overTwin()
	default:
		return errors.New(`http.Server.TLSNextProto["h2"] is set, by golang.org/x/net/http2.ConfigureServer for one: ` +
			"leave HTTP/2 to net/http and configure it with http.Server.HTTP2")
	}
	next := maps.Clone(srv.TLSNextProto)
	if next == nil {
		next = make(protocols)
	}
	next[overTLS] = all.acceptTLS
	next[unencrypted] = all.acceptUnencrypted
	srv.TLSNextProto = next
	hook := srv.ConnState
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if ours := unwrap(c); ours != nil {
			ours.idle.Store(state == http.StateIdle)
			c = ours.Conn
		}
		if hook != nil {
			hook(c, state)
		}
	}
	srv.RegisterOnShutdown(all.announce)
	return nil
}

type protocols = map[string]func(*http.Server, *tls.Conn, http.Handler)

// ownHTTP2 returns the TLSNextProto that net/http would give srv where given is the
// user's, which has overTLS where srv is to serve HTTP/2. net/http makes it when a
// server begins to serve, so one that has nothing to serve is asked.
func ownHTTP2(srv *http.Server, given protocols) (protocols, error) {
	like := &http.Server{
		TLSNextProto: maps.Clone(given),
		TLSConfig:    new(tls.Config),
		Protocols:    srv.Protocols,
		HTTP2:        srv.HTTP2,
		IdleTimeout:  srv.IdleTimeout,
		ReadTimeout:  srv.ReadTimeout,
	}
	if srv.TLSConfig != nil {
		like.TLSConfig = srv.TLSConfig.Clone()
	}
	like.TLSConfig.GetCertificate = noCertificate // or ServeTLS wants files
	if err := like.ServeTLS(nothing{}, "", ""); err != errNothing {
		return nil, err
	}
	return like.TLSNextProto, nil
}

func noCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errNothing }

var errNothing = errors.New("goaway: nothing to serve")

// nothing is a listener without a connection.
type nothing struct{}

func (nothing) Accept() (net.Conn, error) { return nil, errNothing }
func (nothing) Close() error              { return nil }
func (nothing) Addr() net.Addr            { return &net.TCPAddr{} }

// connections are the Conns of one server.
type connections struct {
	opened func(context.Context, *Conn)
	serve  backend

	mu      sync.Mutex
	open    map[*Conn]struct{}
	closing bool
}

func (cs *connections) acceptTLS(srv *http.Server, c *tls.Conn, h http.Handler) {
	if err := readPreface(c); err != nil {
		logPreface(srv, c, err)
		return
	}
	cs.accept(srv, c, h)
}

func (cs *connections) acceptUnencrypted(srv *http.Server, c *tls.Conn, h http.Handler) {
	cs.accept(srv, c.NetConn().(interface{ UnencryptedNetConn() net.Conn }).UnencryptedNetConn(), h)
}

func (cs *connections) accept(srv *http.Server, nc net.Conn, h http.Handler) {
	ours := &Conn{Conn: nc, ctx: contextOf(h)}
	var c net.Conn = ours
	if t, ok := nc.(*tls.Conn); ok {
		c = &secure{ours, t}
	}
	cs.add(ours)
	defer cs.remove(ours)
	cs.opened(ours.ctx, ours)
	cs.serve(srv, c, h)
}

// secure has what HTTP/2 asks of a connection over TLS.
type secure struct {
	*Conn
	tls *tls.Conn
}

func (s *secure) ConnectionState() tls.ConnectionState { return s.tls.ConnectionState() }

// contextOf returns what net/http passes down to HTTP/2 in its handler.
func contextOf(h http.Handler) context.Context {
	return h.(interface{ BaseContext() context.Context }).BaseContext()
}

func (cs *connections) add(c *Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open == nil {
		cs.open = make(map[*Conn]struct{})
	}
	cs.open[c] = struct{}{}
	if cs.closing {
		c.Announce()
	}
}

func (cs *connections) remove(c *Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.open, c)
}

func (cs *connections) announce() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closing = true
	for c := range cs.open {
		c.Announce()
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
