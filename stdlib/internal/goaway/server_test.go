package goaway

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// server is an http.Server on loopback. Its options come before Install.
type server struct {
	*http.Server
	addr   string
	secure bool
	conns  chan *Conn // each as it is opened
	lost   chan error // what Install's lost was called with
}

func serve(t *testing.T, secure bool, h http.HandlerFunc, options ...func(*http.Server)) *server {
	t.Helper()
	s := configured(secure, h, options...)
	s.install(t)
	s.start(t)
	return s
}

// install does what package stdlib does.
func (s *server) install(t testing.TB) {
	t.Helper()
	s.installWith(t, func(c *Conn) { s.conns <- c })
}

func (s *server) installWith(t testing.TB, opened func(*Conn)) {
	t.Helper()
	if err := Install(s.Server, opened, func(err error) { s.lost <- err }); err != nil {
		t.Fatal(err)
	}
}

func configured(secure bool, h http.HandlerFunc, options ...func(*http.Server)) *server {
	s := &server{Server: &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}, secure: secure, conns: make(chan *Conn, 100), lost: make(chan error, 1)}
	if secure {
		s.TLSConfig = &tls.Config{Certificates: testCertificates}
	} else {
		s.Protocols = protocolsOf(func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) })
	}
	for _, option := range options {
		option(s.Server)
	}
	return s
}

func protocolsOf(set ...func(*http.Protocols)) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetHTTP2(true)
	for _, f := range set {
		f(p)
	}
	return p
}

// hook makes srv.ConnState ask Known, as package stdlib does.
func (s *server) hook() {
	if hook := s.ConnState; hook != nil {
		s.ConnState = func(c net.Conn, state http.ConnState) {
			if known, call := Known(c, state); call {
				hook(known, state)
			}
		}
	} else {
		s.ConnState = func(c net.Conn, state http.ConnState) { Known(c, state) }
	}
}

func (s *server) start(t testing.TB) {
	t.Helper()
	s.hook()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s.secure {
			s.ServeTLS(ln, "", "")
		} else {
			s.Serve(ln)
		}
	}()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
}

// testCertificates are httptest's.
var testCertificates = func() []tls.Certificate {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Certificates
}()

func clientTLS() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}
}

// transport is Go's own client of the server.
func (s *server) transport(t testing.TB) *http.Transport {
	tr := &http.Transport{TLSClientConfig: clientTLS(), Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP2(s.secure)
	tr.Protocols.SetUnencryptedHTTP2(!s.secure)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func (s *server) url() string {
	if s.secure {
		return "https://" + s.addr
	}
	return "http://" + s.addr
}

// client is one that shows every frame.
type client struct {
	*testing.T
	net.Conn
	*http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder
}

const waitAtMost = 20 * time.Second

// dial connects, and exchanges SETTINGS.
func (s *server) dial(t *testing.T) *client {
	t.Helper()
	return greet(t, connect(t, s))
}

func connect(t *testing.T, s *server) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if s.secure {
		nc = tls.Client(nc, clientTLS())
	}
	nc.SetDeadline(time.Now().Add(waitAtMost))
	return nc
}

func greet(t *testing.T, nc net.Conn) *client {
	t.Helper()
	nc.SetDeadline(time.Now().Add(waitAtMost))
	c := &client{T: t, Conn: nc, Framer: http2.NewFramer(nc, nc)}
	c.encode = hpack.NewEncoder(&c.block)
	if _, err := nc.Write([]byte(preface)); err != nil {
		t.Fatal(err)
	}
	c.WriteSettings()
	c.WriteSettingsAck()
	for {
		f := c.next()
		if f == nil {
			t.Fatal("the connection ended before the server had acknowledged the SETTINGS")
		}
		if f, ok := f.(*http2.SettingsFrame); ok && f.IsAck() {
			return c
		}
	}
}

// request opens a stream with a GET, or with a POST whose body stays open.
func (c *client) request(stream uint32, method string) {
	c.Helper()
	c.send(stream, method, "/")
}

func (c *client) send(stream uint32, method, path string) {
	c.Helper()
	c.block.Reset()
	for _, f := range [][2]string{{":method", method}, {":scheme", "http"}, {":path", path}, {":authority", "test"}} {
		c.encode.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	err := c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: c.block.Bytes(), EndHeaders: true, EndStream: method != http.MethodPost,
	})
	if err != nil {
		c.Fatal(err)
	}
}

// next returns the server's next frame that is no WINDOW_UPDATE, nil at its end.
func (c *client) next() http2.Frame {
	c.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				c.Fatal("no frame in time")
			}
			return nil
		}
		if _, ok := f.(*http2.WindowUpdateFrame); !ok {
			return f
		}
	}
}

// want reads the next frame as one of type F.
func want[F http2.Frame](c *client, what string) F {
	c.Helper()
	got := c.next()
	f, ok := got.(F)
	if !ok {
		c.Fatalf("got %v instead of %s", got, what)
	}
	return f
}

func (c *client) wantGoAway(lastStream uint32) {
	c.Helper()
	f := want[*http2.GoAwayFrame](c, "a GOAWAY")
	if f.LastStreamID != lastStream || f.ErrCode != http2.ErrCodeNo {
		c.Fatalf("%v, want last stream %d and NO_ERROR", f, lastStream)
	}
}

// wantPing reads a PING and returns what acknowledges it.
func (c *client) wantPing() (acknowledge func()) {
	c.Helper()
	f := want[*http2.PingFrame](c, "a PING")
	if f.IsAck() {
		c.Fatalf("%v is an acknowledgement", f)
	}
	data := f.Data
	return func() {
		if err := c.WritePing(true, data); err != nil {
			c.Error(err)
		}
	}
}

// wantAnswer reads the response on a stream to its end.
func (c *client) wantAnswer(stream uint32) {
	c.Helper()
	for {
		f := c.next()
		if f == nil || f.Header().StreamID != stream {
			c.Fatalf("got %v instead of the answer on stream %d", f, stream)
		}
		if f.Header().Flags.Has(http2.FlagDataEndStream) {
			return
		}
	}
}

func (c *client) wantEnd() {
	c.Helper()
	if f := c.next(); f != nil {
		c.Fatalf("got %v instead of the end of the connection", f)
	}
}
