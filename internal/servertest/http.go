package servertest

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// Hello answers every request with "hello".
var Hello http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// Listen listens on a loopback address until the test ends.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// NewHTTP returns a server that can also serve TLS, and says nothing about the
// connections that tests break.
func NewHTTP(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:   handler,
		ErrorLog:  log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}},
	}
}

// NewHTTP2 is NewHTTP for HTTP/2 in cleartext as well.
func NewHTTP2(handler http.Handler) *http.Server {
	srv := NewHTTP(handler)
	srv.Protocols = new(http.Protocols)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv
}

// Serve serves until the test ends, as a program does that calls srv.Serve, or
// srv.ServeTLS, itself.
func Serve(t testing.TB, srv *http.Server, l net.Listener, over Transport) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		if over.TLS() {
			done <- srv.ServeTLS(l, "", "")
		} else {
			done <- srv.Serve(l)
		}
	}()
	t.Cleanup(func() {
		srv.Close()
		if err := clienttest.Receive(t, "the end of http.Server.Serve", done); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("http.Server.Serve: %v", err)
		}
	})
}

// ServeTracked is Serve for a server that Track knows, on our listener: what
// stdlib.Serve does to it, but for the drain. It returns the address.
func ServeTracked(t testing.TB, srv *http.Server, ctl *core.Controller, over Transport) (address string) {
	t.Helper()
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	l := Listen(t)
	Serve(t, srv, stdlib.Listener(l, ctl), over)
	return l.Addr().String()
}
