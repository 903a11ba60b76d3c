package goaway

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// A client without TCP_NODELAY that writes its preface and its request apart would
// wait for as long as its kernel does.
func TestTheServersSettingsWaitForNothingOverTLS(t *testing.T) {
	s := serve(t, true, ok)
	c := connect(t, s)
	if f, err := http2.NewFramer(nil, c).ReadFrame(); err != nil || f.Header().Type != http2.FrameSettings {
		t.Fatalf("a client that has said nothing gets %v, %v", f, err)
	}
}

// net/http waits 10 s for the preface, and 2 s more for SETTINGS.
func TestAClientMayTakeItsTimeForThePreface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := configured(true, ok)
		s.install(t)
		ours := s.overPipe(t)
		time.Sleep(9 * time.Second)
		c := greet(t, ours)
		c.request(1, http.MethodGet)
		c.wantAnswer(1)
	})
}

func TestAClientWithoutAPrefaceIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := configured(true, ok)
		s.install(t)
		states := make(chan http.ConnState, 10)
		s.ConnState = func(_ net.Conn, state http.ConnState) { states <- state }
		ours := s.overPipe(t)
		start := time.Now()
		io.Copy(io.Discard, ours)
		if waited := time.Since(start); waited != prefaceTimeout {
			t.Errorf("ended after %v", waited)
		}
		synctest.Wait()
		if first, second := <-states, <-states; first != http.StateNew || second != http.StateClosed || len(states) > 0 {
			t.Errorf("%v, %v and %d states more", first, second, len(states))
		}
	})
}

// Go 1.26 adds to NextProtos of the server's own TLSConfig, and Go 1.27 does not.
func TestAConfigForAClientThatIsAClone(t *testing.T) {
	run := func(install bool) string {
		s := configured(true, ok)
		s.TLSConfig.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			clone := s.TLSConfig.Clone()
			clone.GetConfigForClient = nil
			return clone, nil
		}
		if install {
			s.install(t)
		}
		s.start(t)
		c := tls.Client(must(net.Dial("tcp", s.addr)), clientTLS())
		defer c.Close()
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().NegotiatedProtocol
	}
	if with, without := run(true), run(false); with != without {
		t.Errorf("negotiated %q, without Install %q", with, without)
	}
}

func TestAfterSetKeepAlivesEnabledFalseAConnectionEndsWithItsResponse(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		s := serve(t, secure, ok)
		c := s.dial(t)
		c.request(1, http.MethodGet)
		c.wantAnswer(1)
		s.SetKeepAlivesEnabled(false)
		c.request(3, http.MethodGet)
		c.wantAnswer(3)
		for f := c.next(); f != nil; f = c.next() {
			if ping, ok := f.(*http2.PingFrame); ok {
				c.WritePing(true, ping.Data)
			}
		}
	})
}

// Until Go 1.27 net/http shows it to HTTP/2 by itself.
func TestWhereKeepAlivesAreKeptIsFound(t *testing.T) {
	srv := new(http.Server)
	disabled := keepAlivesDisabled(srv)
	if disabled.Load() {
		t.Error("disabled from the start")
	}
	if srv.SetKeepAlivesEnabled(false); !disabled.Load() {
		t.Error("not seen: http.Server keeps it in another place now")
	}
	if srv.SetKeepAlivesEnabled(true); disabled.Load() {
		t.Error("the end is not seen")
	}
}

func TestAHandlerThatIsReplacedWhileServingIsUsed(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		s := serve(t, secure, ok)
		first := s.dial(t)
		first.request(1, http.MethodGet)
		first.wantAnswer(1)
		first.Close()
		<-s.conns
		s.Handler = http.NotFoundHandler()
		res := roundTrip(t, s, http.MethodGet, nil)
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("the first handler answered: %s", res.Status)
		}
	})
}

// hooked counts a server's connections by the net.Conn that its hook is given.
type hooked struct {
	mu   sync.Mutex
	open map[net.Conn]http.ConnState
	odd  []string
}

func (h *hooked) hook(c net.Conn, state http.ConnState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, known := h.open[c]
	switch {
	case state == http.StateNew:
		if h.open == nil {
			h.open = make(map[net.Conn]http.ConnState)
		}
		h.open[c] = state
	case !known:
		h.odd = append(h.odd, state.String())
	case state == http.StateClosed:
		delete(h.open, c)
	default:
		h.open[c] = state
	}
}

// As httptest.Server does, whose Close waits for the connections that it knows.
func TestAHookThatIsSetAfterInstallSeesTheListenersConnections(t *testing.T) {
	for name, calls := range map[string]bool{"and calls the one before": true, "and does not": false} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, secure bool) {
				var seen hooked
				closed := make(chan struct{})
				s := configured(secure, ok)
				s.install(t)
				before := s.ConnState
				s.ConnState = func(c net.Conn, state http.ConnState) {
					seen.hook(c, state)
					if state == http.StateClosed {
						defer close(closed)
					}
					if calls && before != nil {
						before(c, state)
					}
				}
				s.start(t)
				c := s.dial(t)
				c.request(1, http.MethodGet)
				c.wantAnswer(1)
				c.Close()
				<-closed
				seen.mu.Lock()
				defer seen.mu.Unlock()
				if len(seen.odd) > 0 || len(seen.open) > 0 {
					t.Errorf("of unknown connections: %v; never closed: %v", seen.odd, seen.open)
				}
			})
		})
	}
}

// What serves HTTP/2 is set to something else after Install.
func TestConfigureServerAfterInstall(t *testing.T) {
	overBoth(t, func(t *testing.T, secure bool) {
		s := configured(secure, ok)
		s.install(t)
		if err := http2.ConfigureServer(s.Server, &http2.Server{MaxConcurrentStreams: 7}); err != nil {
			t.Fatal(err)
		}
		behind := s.TLSNextProto[unencrypted] != nil && s.ownsNothing()
		s.start(t)
		c := s.dial(t)
		c.request(1, http.MethodGet)
		c.wantAnswer(1)
		if !behind { // net/http has all of HTTP/2 to itself since Go 1.27
			if err := <-s.lost; err != ErrConfigured {
				t.Errorf("lost because: %v", err)
			}
			return
		}
		if len(s.lost) > 0 {
			t.Error(<-s.lost)
		}
		(<-s.conns).Announce(debug)
		c.wantGoAway(maxStreamID)
	})
}

// ownsNothing reports whether both of TLSNextProto's functions are somebody else's.
func (s *server) ownsNothing() bool {
	i := &installed{srv: s.Server}
	i.ours = protocols{overTLS: i.acceptTLS(), unencrypted: i.acceptUnencrypted()}
	return !i.isOurs(overTLS) && !i.isOurs(unencrypted)
}

// Some programs take a connection from a listener of their own to net/http.
func TestTLSNextProtoCalledByHand(t *testing.T) {
	s := configured(true, ok)
	s.ErrorLog = log.New(testLog{t}, "", 0)
	s.install(t)
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	defer ln.Close()
	s.addr = ln.Addr().String()
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		config := s.TLSConfig.Clone()
		config.NextProtos = []string{"h2"}
		secured := tls.Server(nc, config)
		secured.HandshakeContext(context.Background())
		s.TLSNextProto[overTLS](s.Server, secured, s.Handler)
	}()
	res := roundTrip(t, s, http.MethodGet, nil)
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "ok" {
		t.Errorf("%q, %v", body, err)
	}
}

type testLog struct{ *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "panic") {
		l.Errorf("%s", p)
	}
	return len(p), nil
}
