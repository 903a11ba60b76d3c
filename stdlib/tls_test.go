package stdlib_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func certificateFiles(t *testing.T) (cert, key string) {
	t.Helper()
	c := clienttest.Certificate()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", c.Certificate[0]), write("key.pem", "PRIVATE KEY", der)
}

func TestTheHandlerSeesThatItIsTLS(t *testing.T) {
	cert, key := certificateFiles(t)
	for name, configure := range map[string]func(*http.Server) []stdlib.ServeOption{
		"certificate from files": func(srv *http.Server) []stdlib.ServeOption {
			srv.TLSConfig = nil
			return []stdlib.ServeOption{stdlib.TLS(cert, key)}
		},
		"certificate from srv.TLSConfig": func(*http.Server) []stdlib.ServeOption {
			return []stdlib.ServeOption{stdlib.TLS("", "")}
		},
		"GetCertificate": func(srv *http.Server) []stdlib.ServeOption {
			srv.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				c := clienttest.Certificate()
				return &c, nil
			}}
			return []stdlib.ServeOption{stdlib.TLS("", "")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			srv := servertest.NewHTTP(stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.TLS == nil || !r.TLS.HandshakeComplete {
					t.Error("r.TLS does not say so")
				}
				servertest.Hello(w, r)
			})))
			s := servertest.New(t, ctl, srv).Start(configure(srv)...)
			client := clienttest.DialTLS(t, s.Address)
			client.ExpectKept(get(t, client, "/"))
			if body := clienttest.DialHTTP2(t, s.Address).Get("/").Body; body != "hello" {
				t.Errorf("over HTTP/2 the body is %q", body)
			}
			s.ExpectStats("both connections are known", func(s core.Stats) bool { return s.Open == 2 && s.Untracked == 0 })
		})
	}
}

func TestAClientThatDoesNotFinishTheHandshakeDoesNotHoldUpTheDrain(t *testing.T) {
	s := serve(t, servertest.NewController(t), servertest.Hello, append([]stdlib.ServeOption{
		stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far),
	}, servertest.OverTLS.Opts...)...)
	client := clienttest.Dial(t, s.Address)
	client.Send("\x16\x03\x01\x02\x00")
	s.ExpectStats("it is known", func(s core.Stats) bool { return s.Open == 1 })
	s.Drain()
	if report := s.MustEnd(); report.ClosedIdle != 1 {
		t.Errorf("the report is %+v", report)
	}
	client.ExpectGone()
}

// A client's closing alert is not a request.
func TestAnAlertIsNotInputAfterTheAnnouncement(t *testing.T) {
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
			srv.TLSConfig.MaxVersion = version
			s := servertest.New(t, ctl, srv).Start(servertest.OverTLS.Opts...)
			client := clienttest.DialTLS(t, s.Address)
			get(t, client, "/")
			s.BeginDrain()
			client.ExpectClosed(get(t, client, "/"))
			client.Close() // sends the alert
			if report := s.MustEnd(); report.InputAfterAnnounce != 0 {
				t.Errorf("the report is %+v", report)
			}
		})
	}
}

// stuckConn is a connection whose client does not read: once its buffers are
// full a write waits for ever.
type stuckConn struct {
	net.Conn
	full   *atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func (c *stuckConn) Write(p []byte) (int, error) {
	if c.full.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

func (c *stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

type stuckListener struct {
	net.Listener
	full atomic.Bool
}

func (l *stuckListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &stuckConn{Conn: c, full: &l.full, closed: make(chan struct{})}, err
}

// TLS closes with an alert, which does not get out to a client that does not
// read.
func TestClientsThatDoNotReadDoNotHoldUpTheDrain(t *testing.T) {
	t.Parallel()
	l, ctl := &stuckListener{Listener: servertest.Listen(t)}, servertest.NewController(t)
	s := servertest.NewOn(t, l, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))).Start(append([]stdlib.ServeOption{
		stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(500 * time.Millisecond),
	}, servertest.OverTLS.Opts...)...)
	for range 3 {
		get(t, clienttest.DialTLS(t, s.Address), "/")
	}
	s.ExpectStats("three are idle", func(s core.Stats) bool { return s.Idle == 3 })
	l.full.Store(true)
	s.Drain()
	if report, err := s.Wait(); report.ClosedIdle != 3 || report.Forced != 0 || !errors.Is(err, stdlib.ErrDrainTimeout) {
		t.Errorf("Serve: %v, %v", report, err)
	}
}
