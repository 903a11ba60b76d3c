package goaway

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// overTwin serves HTTP/2 on a second http.Server that has the settings of the
// first. Since Go 1.27 net/http's HTTP/2 takes a connection only from a listener,
// and if it has it, it takes all of them.
//
// A connection then keeps two goroutines of net/http's, the first server's and
// the twin's. What cannot be seen from outside is not copied: after
// SetKeepAlivesEnabled(false) on the first server the twin keeps idle connections.
func overTwin() backend {
	var once sync.Once
	var twin *http.Server
	return func(srv *http.Server, c net.Conn, h http.Handler) {
		once.Do(func() { twin = newTwin(srv) })
		ours := unwrap(c)
		ours.toServer = []byte(preface)
		ours.gone = make(chan struct{})
		// Serve returns as soon as the connection has its goroutine.
		_ = twin.Serve(&single{conn: c})
		<-ours.gone
	}
}

func newTwin(srv *http.Server) *http.Server {
	twin := &http.Server{
		Handler:                      srv.Handler,
		DisableGeneralOptionsHandler: srv.DisableGeneralOptionsHandler,
		ReadTimeout:                  srv.ReadTimeout,
		ReadHeaderTimeout:            srv.ReadHeaderTimeout,
		WriteTimeout:                 srv.WriteTimeout,
		IdleTimeout:                  srv.IdleTimeout,
		MaxHeaderBytes:               srv.MaxHeaderBytes,
		ErrorLog:                     srv.ErrorLog,
		HTTP2:                        srv.HTTP2,
		Protocols:                    new(http.Protocols),
		ConnContext: func(_ context.Context, c net.Conn) context.Context {
			return unwrap(c).ctx
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew: // the first server has said it
			case http.StateClosed: // and will
				close(unwrap(c).gone)
			default:
				srv.ConnState(c, state)
			}
		},
	}
	twin.Protocols.SetHTTP2(true)
	twin.Protocols.SetUnencryptedHTTP2(true)
	copyNewer(twin, srv)
	return twin
}

// single is a listener with one connection.
type single struct {
	nothing
	conn net.Conn
}

func (l *single) Accept() (net.Conn, error) {
	c := l.conn
	if c == nil {
		return l.nothing.Accept()
	}
	l.conn = nil
	return c, nil
}
