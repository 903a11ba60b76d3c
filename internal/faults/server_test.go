package faults

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// far is longer than any wait of a test: what takes as long has failed.
const far = 10 * time.Minute

// server is one that has to leave nothing behind.
type server struct{ *servertest.Server }

// newServer returns a server with the middleware around handler. The test ends it with start.
func newServer(t testing.TB, handler http.Handler) *server {
	t.Helper()
	leavesNothing(t)
	ctl := servertest.NewController(t)
	return &server{servertest.New(t, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(handler)))}
}

func (s *server) start(over servertest.Transport, opts ...stdlib.ServeOption) *server {
	s.T.Helper()
	s.Start(append(opts, over.Opts...)...)
	return s
}

// isEmpty waits until no connection is left, not even a lingering one.
func (s *server) isEmpty() {
	s.T.Helper()
	s.ExpectStats("nothing is open or in flight", func(s core.Stats) bool {
		return s.Open == 0 && s.Active == 0 && s.Idle == 0 && s.Hijacked == 0 && s.InFlight == 0
	})
	clienttest.ExpectNoGoroutine(s.T, "politeclose/stdlib.(*conn)")
}

// expectEnd fails the test unless Serve returns this report, whatever its duration and what was cut, and this error, and
// leaves the counters at zero. It returns the duration.
func (s *server) expectEnd(want stdlib.Report, err error) time.Duration {
	s.T.Helper()
	clienttest.Receive(s.T, "the end of Serve", s.Done)
	got := s.Report
	// Who is accepted while the listener closes is a matter of chance.
	got.Duration, got.Cut, got.AcceptedLate = 0, nil, 0
	if !reflect.DeepEqual(got, want) || !errors.Is(s.Err, err) {
		s.T.Errorf("Serve returned\n%+v, %v; want\n%+v, %v", got, s.Err, want, err)
	}
	s.isEmpty()
	if stats := s.Controller.Stats(); stats.Untracked != 0 || stats.InputAfterAnnounce != uint64(want.InputAfterAnnounce) {
		s.T.Errorf("the statistics are %+v", stats)
	}
	return s.Report.Duration
}

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
