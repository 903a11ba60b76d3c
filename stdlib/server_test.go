package stdlib_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// full asks for the measurements of the issue at their whole size.
var full = os.Getenv("POLITECLOSE_FULL") != ""

// transport is one way to speak HTTP/1 with a server.
type transport struct {
	name string
	opts []stdlib.ServeOption
	dial func(testing.TB, string) *clienttest.Conn
}

var (
	cleartext  = transport{"cleartext", nil, clienttest.Dial}
	overTLS    = transport{"TLS", []stdlib.ServeOption{stdlib.TLS("", "")}, clienttest.DialTLS}
	transports = []transport{cleartext, overTLS}
)

// overEach runs a test in cleartext and over TLS.
func overEach(t *testing.T, test func(t *testing.T, over transport)) {
	t.Helper()
	for _, over := range transports {
		t.Run(over.name, func(t *testing.T) { test(t, over) })
	}
}

func newController(t testing.TB, opts ...core.Option) *core.Controller {
	t.Helper()
	ctl, err := core.New(append([]core.Option{core.Logger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return ctl
}

// newServer returns a server that can also serve TLS, and says nothing about the
// connections that tests break.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:   handler,
		ErrorLog:  log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}},
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// running is a Serve under way.
type running struct {
	t       testing.TB
	ctl     *core.Controller
	srv     *http.Server
	address string
	l       net.Listener
	drain   context.CancelFunc
	done    chan struct{}
	report  stdlib.Report // once done is closed
	err     error
}

// serve runs handler behind the middleware.
func serve(t testing.TB, ctl *core.Controller, handler http.Handler, opts ...stdlib.ServeOption) *running {
	t.Helper()
	return serveOn(t, listen(t), ctl, newServer(stdlib.Middleware(ctl)(handler)), opts...)
}

// serveOn runs Serve until the test drains it or ends.
func serveOn(t testing.TB, l net.Listener, ctl *core.Controller, srv *http.Server, opts ...stdlib.ServeOption) *running {
	t.Helper()
	ctx, drain := context.WithCancel(context.Background())
	force, forceEnd := context.WithCancel(context.Background())
	s := &running{
		t: t, ctl: ctl, srv: srv, address: l.Addr().String(), l: l, drain: drain, done: make(chan struct{}),
	}
	opts = append([]stdlib.ServeOption{stdlib.On(l), stdlib.ForceContext(force)}, opts...)
	go func() {
		defer close(s.done)
		s.report, s.err = stdlib.Serve(ctx, srv, ctl, opts...)
	}()
	t.Cleanup(func() {
		forceEnd()
		drain()
		clienttest.Receive(t, "the end of Serve", s.done)
	})
	return s
}

// wait waits for the end of Serve.
func (s *running) wait() (stdlib.Report, error) {
	s.t.Helper()
	clienttest.Receive(s.t, "the end of Serve", s.done)
	return s.report, s.err
}

// mustEnd is wait where an error fails the test.
func (s *running) mustEnd() stdlib.Report {
	s.t.Helper()
	report, err := s.wait()
	if err != nil {
		s.t.Errorf("Serve: %v", err)
	}
	return report
}

// beginDrain drains and returns when the flag is up.
func (s *running) beginDrain() {
	s.t.Helper()
	s.drain()
	clienttest.Eventually(s.t, "draining", s.ctl.Draining)
}

// listenerIsClosed waits until nobody can connect. It does not try to: that would
// be a connection more.
func (s *running) listenerIsClosed() {
	s.t.Helper()
	clienttest.Eventually(s.t, "the listener is closed", func() bool {
		return errors.Is(s.l.(*net.TCPListener).SetDeadline(time.Time{}), net.ErrClosed)
	})
}

// expectStats waits until holds is true of the counters.
func (s *running) expectStats(what string, holds func(core.Stats) bool) {
	s.t.Helper()
	clienttest.Eventually(s.t, what, func() bool { return holds(s.ctl.Stats()) })
}

// serveBare serves without us until the end of the test.
func serveBare(t testing.TB, over transport, handler http.Handler) (address string) {
	t.Helper()
	return startBare(t, newServer(handler), over)
}

// startBare is serveBare for a server that the test has configured.
func startBare(t testing.TB, srv *http.Server, over transport) (address string) {
	t.Helper()
	l := listen(t)
	startOn(t, srv, l, over)
	return l.Addr().String()
}

// startOn serves as a program does that calls http.Server.Serve on its own.
func startOn(t testing.TB, srv *http.Server, l net.Listener, over transport) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if over.name == overTLS.name {
			srv.ServeTLS(l, "", "")
		} else {
			srv.Serve(l)
		}
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
}

// areIdle waits until so many connections are idle: a client has its response a
// little before.
func (s *running) areIdle(n int) {
	s.t.Helper()
	s.expectStats(fmt.Sprint("idle: ", n), func(s core.Stats) bool { return s.Idle == n })
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// get makes one exchange that has to succeed.
func get(t testing.TB, c *clienttest.Conn, path string, lines ...string) clienttest.Response {
	t.Helper()
	response := c.Get(path, lines...)
	if response.Status != http.StatusOK || response.Body != "hello" {
		t.Errorf("GET %s was answered with %d and %q", path, response.Status, response.Body)
	}
	return response
}
