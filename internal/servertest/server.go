package servertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// Server is a stdlib.Serve on a loopback address, from Start to the test's end at
// the latest.
type Server struct {
	T          testing.TB
	Controller *core.Controller
	HTTP       *http.Server
	Listener   net.Listener
	Address    string

	Drain, Force context.CancelFunc // as a program does by its contexts

	Done   chan struct{} // closed when Serve has returned
	Report stdlib.Report // what it returned
	Err    error
}

// New returns a server that listens; it can be configured until Start.
func New(t testing.TB, ctl *core.Controller, srv *http.Server) *Server {
	t.Helper()
	return NewOn(t, Listen(t), ctl, srv)
}

// NewOn is New for a listener of the test's own.
func NewOn(t testing.TB, l net.Listener, ctl *core.Controller, srv *http.Server) *Server {
	t.Helper()
	return &Server{T: t, Controller: ctl, HTTP: srv, Listener: l, Address: l.Addr().String(), Done: make(chan struct{})}
}

// Start runs Serve until the test drains it or ends, and returns s.
func (s *Server) Start(opts ...stdlib.ServeOption) *Server {
	s.T.Helper()
	drained, drain := context.WithCancel(context.Background())
	forced, force := context.WithCancel(context.Background())
	s.Drain, s.Force = drain, force
	opts = append([]stdlib.ServeOption{stdlib.On(s.Listener), stdlib.ForceContext(forced)}, opts...)
	go func() {
		defer close(s.Done)
		s.Report, s.Err = stdlib.Serve(drained, s.HTTP, s.Controller, opts...)
	}()
	s.T.Cleanup(func() {
		force()
		drain()
		clienttest.Receive(s.T, "the end of Serve", s.Done)
	})
	return s
}

// Wait waits for the end of Serve.
func (s *Server) Wait() (stdlib.Report, error) {
	s.T.Helper()
	clienttest.Receive(s.T, "the end of Serve", s.Done)
	return s.Report, s.Err
}

// MustEnd is Wait where an error fails the test.
func (s *Server) MustEnd() stdlib.Report {
	s.T.Helper()
	report, err := s.Wait()
	if err != nil {
		s.T.Errorf("Serve: %v", err)
	}
	return report
}

// BeginDrain drains and returns when the flag is up.
func (s *Server) BeginDrain() {
	s.T.Helper()
	s.Drain()
	clienttest.Eventually(s.T, "draining", s.Controller.Draining)
}

// ListenerIsClosed waits until nobody can connect. It does not try to: that would
// be a connection more.
func (s *Server) ListenerIsClosed() {
	s.T.Helper()
	clienttest.Eventually(s.T, "the listener is closed", func() bool {
		return errors.Is(s.Listener.(*net.TCPListener).SetDeadline(time.Time{}), net.ErrClosed)
	})
}

// ExpectStats waits until holds is true of the counters.
func (s *Server) ExpectStats(what string, holds func(core.Stats) bool) {
	s.T.Helper()
	clienttest.Eventually(s.T, what, func() bool { return holds(s.Controller.Stats()) })
}

// AreIdle waits until so many connections are idle: a client has its response a
// little before.
func (s *Server) AreIdle(n int) {
	s.T.Helper()
	s.ExpectStats(fmt.Sprint("idle: ", n), func(stats core.Stats) bool { return stats.Idle == n })
}
