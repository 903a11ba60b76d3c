package faults

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// far is longer than any wait of a test: what takes as long has failed.
const far = 10 * time.Minute

// transport is one way to speak HTTP/1 with a server.
type transport struct {
	name string
	opts []stdlib.ServeOption
	dial func(testing.TB, string) *clienttest.Conn
}

var (
	cleartext = transport{"cleartext", nil, clienttest.Dial}
	overTLS   = transport{"TLS", []stdlib.ServeOption{stdlib.TLS("", "")}, clienttest.DialTLS}
)

// overEach runs a test in cleartext and over TLS.
func overEach(t *testing.T, test func(t *testing.T, over transport)) {
	t.Helper()
	for _, over := range []transport{cleartext, overTLS} {
		t.Run(over.name, func(t *testing.T) { test(t, over) })
	}
}

// server is a Serve under way.
type server struct {
	t            testing.TB
	ctl          *core.Controller
	srv          *http.Server
	l            net.Listener
	address      string
	drain, force context.CancelFunc
	done         chan struct{}
	report       stdlib.Report // once done is closed
	err          error
}

// newServer returns a server with the middleware around handler. The test ends it with start.
func newServer(t testing.TB, handler http.Handler) *server {
	t.Helper()
	leavesNothing(t)
	ctl, err := core.New(core.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return &server{
		t: t, ctl: ctl, l: l, address: l.Addr().String(), done: make(chan struct{}),
		srv: &http.Server{
			Handler:   stdlib.Middleware(ctl)(handler),
			ErrorLog:  log.New(io.Discard, "", 0), // of connections that tests break
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}},
		},
	}
}

// start runs Serve until the test drains it or ends.
func (s *server) start(over transport, opts ...stdlib.ServeOption) *server {
	s.t.Helper()
	ctx, drain := context.WithCancel(context.Background())
	forced, force := context.WithCancel(context.Background())
	s.drain, s.force = drain, force
	opts = append([]stdlib.ServeOption{stdlib.On(s.l), stdlib.ForceContext(forced)}, append(opts, over.opts...)...)
	go func() {
		defer close(s.done)
		s.report, s.err = stdlib.Serve(ctx, s.srv, s.ctl, opts...)
	}()
	s.t.Cleanup(func() {
		force()
		drain()
		clienttest.Receive(s.t, "the end of Serve", s.done)
	})
	return s
}

// beginDrain drains and returns when the flag is up.
func (s *server) beginDrain() {
	s.t.Helper()
	s.drain()
	clienttest.Eventually(s.t, "draining", s.ctl.Draining)
}

// listenerIsClosed waits until nobody can connect, without trying to.
func (s *server) listenerIsClosed() {
	s.t.Helper()
	clienttest.Eventually(s.t, "the listener is closed", func() bool {
		return errors.Is(s.l.(*net.TCPListener).SetDeadline(time.Time{}), net.ErrClosed)
	})
}

// expectStats waits until holds is true of the counters.
func (s *server) expectStats(what string, holds func(core.Stats) bool) {
	s.t.Helper()
	clienttest.Eventually(s.t, what, func() bool { return holds(s.ctl.Stats()) })
}

// isEmpty waits until no connection is left, not even a lingering one.
func (s *server) isEmpty() {
	s.t.Helper()
	s.expectStats("nothing is open or in flight", func(s core.Stats) bool {
		return s.Open == 0 && s.Active == 0 && s.Idle == 0 && s.Hijacked == 0 && s.InFlight == 0
	})
	clienttest.ExpectNoGoroutine(s.t, "politeclose/stdlib.(*conn)")
}

// expectEnd fails the test unless Serve returns this report, whatever its duration, and this error, and leaves the
// counters at zero. It returns the duration.
func (s *server) expectEnd(want stdlib.Report, err error) time.Duration {
	s.t.Helper()
	clienttest.Receive(s.t, "the end of Serve", s.done)
	got := s.report
	got.Duration = 0
	if got != want || !errors.Is(s.err, err) {
		s.t.Errorf("Serve returned\n%+v, %v; want\n%+v, %v", got, s.err, want, err)
	}
	s.isEmpty()
	if stats := s.ctl.Stats(); stats.Untracked != 0 || stats.InputAfterAnnounce != uint64(want.InputAfterAnnounce) {
		s.t.Errorf("the statistics are %+v", stats)
	}
	return s.report.Duration
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// expectHello fails the test unless the response is hello's.
func expectHello(t testing.TB, r clienttest.Response) clienttest.Response {
	t.Helper()
	if r.Status != http.StatusOK || r.Body != "hello" {
		t.Errorf("the response is %d %q", r.Status, r.Body)
	}
	return r
}

// socket is the TCP connection below a client's.
func socket(c *clienttest.Conn) *net.TCPConn {
	if secure, ok := c.Conn.(*tls.Conn); ok {
		return secure.NetConn().(*net.TCPConn)
	}
	return c.Conn.(*net.TCPConn)
}
