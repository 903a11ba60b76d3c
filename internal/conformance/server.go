package conformance

import (
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// server serves one handler over TCP and over TLS.
type server struct {
	t          testing.TB
	ctl        *core.Controller // nil without us
	plain, tls string           // addresses
	log        logLines
	idle       map[string]client // by protocol: the connection that the last cell left in order
}

// borrow returns a connection to s.
func (s *server) borrow(p protocol) client {
	if c := s.idle[p.name]; c != nil {
		delete(s.idle, p.name)
		return c
	}
	return p.dial(s)
}

func (s *server) giveBack(p protocol, c client, reusable bool) {
	if !reusable {
		c.close()
		return
	}
	s.idle[p.name] = c
}

// Serve serves handler until the test ends, with ctl's records and listener where
// ctl is not nil, and returns its address.
func Serve(t testing.TB, handler http.Handler, ctl *core.Controller) (address string) {
	t.Helper()
	return serve(t, handler, ctl).plain
}

// serve starts the handler on loopback sockets until the test ends. With a
// Controller it does what stdlib.Serve does to a server.
func serve(t testing.TB, handler http.Handler, ctl *core.Controller) *server {
	t.Helper()
	s := &server{t: t, ctl: ctl, idle: make(map[string]client)}
	s.plain = s.listen(handler, func(srv *http.Server, l net.Listener) error { return srv.Serve(l) })
	s.tls = s.listen(handler, func(srv *http.Server, l net.Listener) error { return srv.ServeTLS(l, "", "") })
	return s
}

func (s *server) listen(handler http.Handler, serve func(*http.Server, net.Listener) error) (address string) {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	srv := &http.Server{
		Handler:   handler,
		ErrorLog:  log.New(&s.log, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}},
	}
	address = listener.Addr().String()
	if s.ctl != nil {
		if err := stdlib.Track(srv, s.ctl); err != nil {
			s.t.Fatal(err)
		}
		listener = stdlib.Listener(listener, s.ctl)
	}
	served := make(chan error, 1)
	go func() { served <- serve(srv, listener) }()
	s.t.Cleanup(func() {
		srv.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			s.t.Errorf("the server ended with %v", err)
		}
	})
	return address
}

// logLines counts what the server logs.
type logLines struct {
	n    atomic.Int64
	mu   sync.Mutex
	last string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.n.Add(1)
	l.mu.Lock()
	l.last = string(p)
	l.mu.Unlock()
	return len(p), nil
}
