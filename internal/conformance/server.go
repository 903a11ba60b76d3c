package conformance

import (
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/servertest"
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
	s.plain, s.tls = s.start(handler, servertest.Cleartext), s.start(handler, servertest.OverTLS)
	return s
}

func (s *server) start(handler http.Handler, over servertest.Transport) (address string) {
	s.t.Helper()
	srv := servertest.NewHTTP(handler)
	srv.ErrorLog = log.New(&s.log, "", 0)
	if s.ctl != nil {
		return servertest.ServeTracked(s.t, srv, s.ctl, over)
	}
	l := servertest.Listen(s.t)
	servertest.Serve(s.t, srv, l, over)
	return l.Addr().String()
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
