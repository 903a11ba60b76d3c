package goaway

import (
	"context"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
)

// direct serves HTTP/2 through the function that net/http has given to
// golang.org/x/net/http2 since Go 1.27: http.Server.Serve takes a listener with the
// methods of registration for a request to have it, and returns nil. It then serves
// all of the server's HTTP/2 by itself, so the server that is asked is another one,
// with the settings of the first. Handler, context and TLSNextProto's functions
// stay the first one's.
type direct struct {
	in       *installed
	first    sync.Once
	conn     serveConn
	disabled *atomic.Bool // what the first server's SetKeepAlivesEnabled has set
}

type serveConn = func(ctx context.Context, c net.Conn, h http.Handler, sawPreface bool, upgrade *http.Request, settings []byte)

func (d *direct) serve(_ *http.Server, c net.Conn, h http.Handler) {
	d.first.Do(func() { d.conn, d.disabled = register(d.shadow()), keepAlivesDisabled(d.in.srv) })
	d.conn(contextOf(h), c, h, unwrap(c).preface == 0, nil, nil)
}

// shadow returns a server with every setting of d.in.srv that HTTP/2 may read.
func (d *direct) shadow() *http.Server {
	shadow := new(http.Server)
	from, to := reflect.ValueOf(d.in.srv).Elem(), reflect.ValueOf(shadow).Elem()
	for i := range from.NumField() {
		if field := from.Type().Field(i); field.IsExported() && !notCopied[field.Name] {
			to.Field(i).Set(from.Field(i))
		}
	}
	shadow.ConnState = d.connState
	return shadow
}

// notCopied are the fields that matter before HTTP/2 gets the connection, or have
// values of their own in a shadow.
var notCopied = map[string]bool{
	"Addr":         true, // the listener is open
	"Handler":      true, // comes with each connection
	"TLSConfig":    true, // the handshake is over
	"TLSNextProto": true,
	"Protocols":    true,
	"BaseContext":  true, // is in the connection's context
	"ConnContext":  true, // likewise
	"ConnState":    true,
}

// connState is the shadow's hook.
func (d *direct) connState(c net.Conn, state http.ConnState) {
	if hook := d.in.srv.ConnState; hook != nil {
		hook(c, state)
	}
	if d.disabled.Load() {
		if ours := unwrap(c); ours.used() {
			ours.Announce(reasonDrain)
		}
	}
}

// register returns nil where net/http does not know the request.
func register(srv *http.Server) serveConn {
	r := &registration{idleTimeout: idleTimeout(srv)}
	if err := srv.Serve(r); err != nil {
		return nil
	}
	return r.conn
}

type registration struct {
	nothing
	idleTimeout time.Duration
	conn        serveConn
}

func (r *registration) ServeConnFunc(f serveConn)     { r.conn = f }
func (r *registration) HTTP2Config() http.HTTP2Config { return http.HTTP2Config{} } // beside the server's own
func (r *registration) IdleTimeout() time.Duration    { return r.idleTimeout }
