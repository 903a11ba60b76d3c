package http3

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/quic-go/quic-go"
	quichttp3 "github.com/quic-go/quic-go/http3"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// serve runs quic-go's server on a loopback address until the end of the test.
func serve(t *testing.T, handler http.Handler) (address string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &quichttp3.Server{
		Handler:   handler,
		TLSConfig: quichttp3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}}),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(conn)
	}()
	t.Cleanup(func() {
		server.Close()
		conn.Close()
		<-served
	})
	return conn.LocalAddr().String()
}

// client speaks HTTP/3, and counts its connections.
func client(t *testing.T) (transport *quichttp3.Transport, dials *int) {
	dials = new(int) // one request at a time
	transport = &quichttp3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // nothing but loopback is dialled
		Dial: func(ctx context.Context, address string, tls *tls.Config, config *quic.Config) (*quic.Conn, error) {
			*dials++
			return quic.DialAddrEarly(ctx, address, tls, config)
		},
	}
	t.Cleanup(func() { transport.Close() })
	return transport, dials
}

func get(t *testing.T, client http.RoundTripper, url string) http.Header {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clienttest.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.ProtoMajor != 3 || response.StatusCode != http.StatusOK || string(body) != "hello" {
		t.Errorf("GET %s was answered with %s %s and %q: %v", url, response.Proto, response.Status, body, err)
	}
	return response.Header
}

// RFC 9114 §4.2: a message with a Connection field is malformed. quic-go owns its
// connections, so the decision is counted and nothing else.
func TestOverHTTP3TheDecisionIsCountedAndNothingSent(t *testing.T) {
	for name, test := range map[string]struct {
		before func(*core.Controller)
		path   string
		reason core.Reason // "" for none
	}{
		"no reason":          {func(*core.Controller) {}, "/", ""},
		"drain":              {(*core.Controller).Drain, "/", core.ReasonDrain},
		"a sensitive route":  {func(*core.Controller) {}, "/login", core.ReasonRoute},
		"the handler's word": {func(*core.Controller) {}, "/close-after", core.ReasonHandler},
		"the handler's own":  {func(*core.Controller) {}, "/close", core.ReasonHandler},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes("/login"))
			address := serve(t, stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/close-after":
					core.CloseAfter(r.Context(), core.ReasonHandler)
				case "/close":
					w.Header().Set("Connection", "close")
				}
				io.WriteString(w, "hello")
			})))
			client, dials := client(t)
			test.before(ctl)

			const exchanges = 2
			for range exchanges {
				if header := get(t, client, "https://"+address+test.path); header["Connection"] != nil {
					t.Errorf("the response has Connection: %q", header["Connection"])
				}
			}
			if *dials != 1 {
				t.Errorf("%d connections for %d requests", *dials, exchanges)
			}
			clienttest.Eventually(t, "the exchanges have ended", func() bool { return ctl.Stats().InFlight == 0 })
			s := ctl.Stats()
			if s.Exchanges != exchanges || s.Untracked != exchanges {
				t.Errorf("%d exchanges, %d untracked, want %d of each", s.Exchanges, s.Untracked, exchanges)
			}
			for reason, n := range s.Closes {
				want := uint64(0)
				if reason == test.reason {
					want = exchanges
				}
				if n != want {
					t.Errorf("%d closes for %s, want %d", n, reason, want)
				}
			}
		})
	}
}
