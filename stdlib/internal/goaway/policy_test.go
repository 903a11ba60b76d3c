package goaway

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func TestInstallLeavesAServerWithoutHTTP2Alone(t *testing.T) {
	for name, option := range map[string]func(t *testing.T, srv *http.Server){
		"Protocols without it": func(_ *testing.T, srv *http.Server) {
			srv.Protocols = new(http.Protocols)
			srv.Protocols.SetHTTP1(true)
		},
		"an empty TLSNextProto": func(_ *testing.T, srv *http.Server) {
			srv.TLSNextProto = make(protocols)
		},
		"GODEBUG": func(t *testing.T, _ *http.Server) {
			t.Setenv("GODEBUG", "http2server=0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, true, ok, func(srv *http.Server) { option(t, srv) })
			c := tls.Client(must(net.Dial("tcp", s.addr)), clientTLS())
			defer c.Close()
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			if p := c.ConnectionState().NegotiatedProtocol; p != "http/1.1" {
				t.Errorf("negotiated %q", p)
			}
			if len(s.TLSNextProto) > 0 {
				t.Errorf("TLSNextProto has %d entries", len(s.TLSNextProto))
			}
		})
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestInstallReturnsTheErrorThatServingWouldHaveReturned(t *testing.T) {
	srv := &http.Server{TLSConfig: &tls.Config{CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}}}
	err := Install(srv, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "AES_128_GCM_SHA256") {
		t.Fatalf("%v", err)
	}
}

func TestInstallChangesNothingElseOfTheServer(t *testing.T) {
	config := &tls.Config{Certificates: testCertificates}
	srv := &http.Server{TLSConfig: config, TLSNextProto: nil, ConnState: nil}
	if err := Install(srv, nil, nil); err != nil {
		t.Fatal(err)
	}
	if srv.TLSConfig != config || len(config.NextProtos) > 0 || config.GetCertificate != nil {
		t.Errorf("TLSConfig: %+v", srv.TLSConfig)
	}
	if srv.Protocols != nil || srv.HTTP2 != nil || srv.ConnContext != nil || srv.ErrorLog != nil {
		t.Errorf("%+v", srv)
	}
}

func TestATimeoutThatIsSetAfterInstallIsKept(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		synctest.Test(t, func(t *testing.T) {
			s := configured(secure, ok)
			s.install(t)
			s.IdleTimeout = time.Second
			c := greet(t, s.overPipe(t))
			want[*http2.GoAwayFrame](c, "a GOAWAY")
			for c.next() != nil {
			}
		})
	})
}

func TestInstallKeepsWhatTheUserServesUnderAnotherName(t *testing.T) {
	srv := &http.Server{TLSNextProto: make(protocols)}
	called := false
	srv.TLSNextProto["other"] = func(*http.Server, *tls.Conn, http.Handler) { called = true }
	srv.Protocols = protocolsOf()
	if err := Install(srv, nil, nil); err != nil {
		t.Fatal(err)
	}
	srv.TLSNextProto["other"](nil, nil, nil)
	if !called || srv.TLSNextProto[overTLS] == nil {
		t.Fatalf("called: %t; %v", called, srv.TLSNextProto)
	}
}

// golang.org/x/net/http2 before Go 1.27 registers what serves, and is served
// through a Conn as net/http's is; since Go 1.27 it takes all connections itself.
func TestAServerConfiguredWithXNetIsAnnouncedOrRefused(t *testing.T) {
	s := configured(true, ok)
	if err := http2.ConfigureServer(s.Server, &http2.Server{MaxConcurrentStreams: 7}); err != nil {
		t.Fatal(err)
	}
	served := s.TLSNextProto[unencrypted] != nil
	err := Install(s.Server, func(c *Conn) { s.conns <- c }, nil)
	if !served {
		if err == nil || !strings.Contains(err.Error(), `TLSNextProto["h2"]`) || !strings.Contains(err.Error(), "http.Server.HTTP2") {
			t.Fatalf("the error does not say what is wrong and what to do: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	s.start(t)
	c := s.dial(t)
	(<-s.conns).Announce(debug)
	c.wantGoAway(maxStreamID)
	c.wantPing()()
	c.wantPing()()
	c.wantGoAway(0)
}
