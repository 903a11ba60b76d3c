package core

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fakeWriter has the shape of net/http's HTTP/1 writer and remembers what would
// have been sent.
type fakeWriter struct {
	header        http.Header
	status        int
	sent          http.Header // the final header as it left; nil before
	informational []http.Header
	hijacked      bool
}

func newFakeWriter() *fakeWriter { return &fakeWriter{header: make(http.Header)} }

func (w *fakeWriter) Header() http.Header { return w.header }

func (w *fakeWriter) WriteHeader(status int) {
	if w.sent != nil || w.hijacked {
		return
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		w.informational = append(w.informational, w.header.Clone())
		return
	}
	w.status, w.sent = status, w.header.Clone()
}

func (w *fakeWriter) Write(p []byte) (int, error)       { w.WriteHeader(200); return len(p), nil }
func (w *fakeWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }
func (w *fakeWriter) ReadFrom(r io.Reader) (int64, error) {
	w.WriteHeader(200)
	return io.Copy(io.Discard, r)
}
func (w *fakeWriter) Flush()                           { w.WriteHeader(200) }
func (w *fakeWriter) FlushError() error                { w.Flush(); return nil }
func (w *fakeWriter) CloseNotify() <-chan bool         { return nil }
func (w *fakeWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *fakeWriter) SetWriteDeadline(time.Time) error { return nil }
func (w *fakeWriter) EnableFullDuplex() error          { return nil }
func (w *fakeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.hijacked = true
	return nil, nil, nil
}

// end is what net/http does after the handler.
func (w *fakeWriter) end() { w.WriteHeader(200) }

func quiet() Option { return Logger(slog.New(slog.DiscardHandler)) }

func newController(t testing.TB, opts ...Option) *Controller {
	t.Helper()
	c, err := New(append([]Option{quiet()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openConnection(c *Controller) *Connection {
	conn := new(Connection)
	conn.Open(c, nil)
	return conn
}

// requestOn returns a request that has come over the connection; over none
// where conn is nil.
func requestOn(conn *Connection, target string) *http.Request {
	r := httptest.NewRequest("GET", target, nil)
	if conn != nil {
		conn.SetState(http.StateActive)
		r = r.WithContext(conn.Context(r.Context()))
	}
	return r
}

// exchange runs one exchange and returns what would have been sent.
func exchange(c *Controller, r *http.Request, handler func(http.ResponseWriter, *http.Request)) *fakeWriter {
	w := newFakeWriter()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	r, e := c.Begin(r.WithContext(ctx))
	handler(e.Writer(w), r)
	e.End()
	w.end()
	return w
}

func nothing(http.ResponseWriter, *http.Request) {}

func respond(status int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func (w *fakeWriter) announces() bool {
	return strings.Join(w.sent["Connection"], ";") == "close"
}

// Mark returns why the connection ends, and false until that is decided.
func (c *Connection) Mark() (Reason, bool) {
	i, _ := c.marked()
	if i == 0 {
		return "", false
	}
	return c.ctl.reason(i), true
}
