package goaway

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"net/http"
	"reflect"
	"slices"
	"sync"
)

// The keys of http.Server.TLSNextProto. The second one is not ALPN's: net/http
// hands over an unencrypted connection under it, whose preface it has read.
const (
	overTLS     = "h2"
	unencrypted = "unencrypted_http2"
)

type protocols = map[string]func(*http.Server, *tls.Conn, http.Handler)

var (
	// ErrUnknownRelease says that this Go release serves HTTP/2 in a way that is not
	// known here. It goes on without us.
	ErrUnknownRelease = errors.New("net/http serves HTTP/2 in a way that is not known here")

	// ErrConfigured says that something else serves HTTP/2.
	ErrConfigured = errors.New(`http.Server.TLSNextProto["h2"] is set, by golang.org/x/net/http2.ConfigureServer for one: ` +
		"leave HTTP/2 to net/http and configure it with http.Server.HTTP2")
)

// Install makes the HTTP/2 connections of srv Conns: over TLS, and in cleartext
// where srv.Protocols has UnencryptedHTTP2. Each is given to opened before its
// first frame. Where net/http would not serve HTTP/2 (srv.Protocols,
// srv.TLSNextProto, GODEBUG), Install does nothing.
//
// It is to be called once, before srv serves. It sets srv.TLSNextProto, and
// srv.BaseContext to a function that calls the one it finds there. srv.ConnState
// should ask [Known]. From then on a connection is announced by srv.Shutdown, and a
// moment before it has been idle for srv.IdleTimeout.
//
// Two things are lost to it. On Go 1.26 srv.Shutdown makes net/http send its own
// GOAWAY as soon as a connection has no stream open, without waiting for ours. On
// Go 1.27 see [ServesAnyTLS].
//
// The error is net/http's where it cannot serve HTTP/2 with srv.TLSConfig, or
// [ErrConfigured] or [ErrUnknownRelease]. lost is called with one of the two if it
// turns out when the server begins to serve that HTTP/2 goes past us.
func Install(srv *http.Server, opened func(*Conn), lost func(error)) error {
	i := &installed{srv: srv, opened: opened, lost: lost}
	if err := i.install(srv.TLSNextProto); err != nil {
		return err
	}
	baseContext := srv.BaseContext
	srv.BaseContext = func(l net.Listener) context.Context {
		i.begun.Do(func() { i.begin(l) })
		if baseContext != nil {
			return baseContext(l)
		}
		return context.Background()
	}
	srv.RegisterOnShutdown(i.announce)
	return nil
}

// installed is what Install has put into a server.
type installed struct {
	srv        *http.Server
	opened     func(*Conn)
	lost       func(error)
	backend    backend   // nil where there is no HTTP/2
	ours       protocols // what was put into srv.TLSNextProto
	nextProtos []string  // net/http would have added to srv.TLSConfig's what is missing of these
	begun      sync.Once

	mu      sync.Mutex
	open    map[*Conn]struct{}
	closing bool
}

// backend serves HTTP/2 on c, and returns when c is closed.
type backend interface {
	serve(srv *http.Server, c net.Conn, h http.Handler)
}

// install puts itself before what serves HTTP/2 with these protocols of the
// user's.
func (i *installed) install(given protocols) error {
	like, err := ownHTTP2(i.srv, given)
	if err != nil || like.TLSNextProto[overTLS] == nil {
		return err
	}
	switch {
	case like.TLSNextProto[unencrypted] != nil:
		i.backend = &handOver{given: given, own: like.TLSNextProto}
	case given[overTLS] != nil:
		return ErrConfigured
	case register(new(http.Server)) != nil:
		i.backend = &direct{in: i}
	}
	if i.backend == nil || !handsOver() {
		return ErrUnknownRelease
	}
	if added := like.TLSConfig.NextProtos; len(added) > 1 { // on Go 1.26
		i.nextProtos = added
	}
	next := maps.Clone(given)
	if next == nil {
		next = make(protocols)
	}
	i.ours = protocols{overTLS: i.acceptTLS(), unencrypted: i.acceptUnencrypted()}
	maps.Copy(next, i.ours)
	i.srv.TLSNextProto = next
	return nil
}

// ownHTTP2 returns a server that net/http has made ready to serve with these
// protocols of the user's, where it would do the same to srv. TLSNextProto has
// overTLS then if srv is to serve HTTP/2. net/http does this when a server begins
// to serve, so one that has nothing to serve is asked. It is Serve that is asked
// and not ServeTLS, with which every program would have all of the server's side of
// TLS in it; Serve does the same where the configuration has HTTP/2 in it already.
func ownHTTP2(srv *http.Server, given protocols) (*http.Server, error) {
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
	like.TLSConfig.NextProtos = []string{overTLS}
	if err := like.Serve(nothing{}); err != errNothing {
		return nil, err
	}
	return like, nil
}

var errNothing = errors.New("goaway: nothing to serve")

// nothing is a listener without a connection.
type nothing struct{}

func (nothing) Accept() (net.Conn, error) { return nil, errNothing }
func (nothing) Close() error              { return nil }
func (nothing) Addr() net.Addr            { return &net.TCPAddr{} }

// begin is called when the server begins to serve, with its listener. What serves
// HTTP/2 now, by http2.ConfigureServer after Install, is put behind us; where that
// cannot be done HTTP/2 goes past us.
//
// And it does what net/http would have done had Install not been called: Go 1.26
// adds to srv.TLSConfig.NextProtos, and a GetConfigForClient that returns a clone
// of it relies on that.
func (i *installed) begin(l net.Listener) {
	srv := i.srv
	if srv.TLSNextProto[overTLS] != nil && !i.isOurs(overTLS) {
		given := maps.Clone(srv.TLSNextProto)
		if i.isOurs(unencrypted) {
			delete(given, unencrypted)
		}
		if err := i.install(given); err != nil {
			i.lost(err)
		}
	}
	if IsTLSListener(l) && srv.TLSConfig != nil {
		for _, proto := range i.nextProtos {
			if !slices.Contains(srv.TLSConfig.NextProtos, proto) {
				srv.TLSConfig.NextProtos = append(srv.TLSConfig.NextProtos, proto)
			}
		}
	}
}

// IsTLSListener reports whether l is one of crypto/tls's, whose type has no name
// outside it. A call of tls.NewListener would tell the type as well, and have all
// of the server's side of TLS in every program.
func IsTLSListener(l net.Listener) bool {
	t := reflect.TypeOf(l)
	return t.Kind() == reflect.Pointer && t.Elem().PkgPath() == reflect.TypeFor[tls.Conn]().PkgPath()
}

// isOurs reports whether srv.TLSNextProto has what was put there.
func (i *installed) isOurs(key string) bool {
	return reflect.ValueOf(i.srv.TLSNextProto[key]).Pointer() == reflect.ValueOf(i.ours[key]).Pointer()
}
