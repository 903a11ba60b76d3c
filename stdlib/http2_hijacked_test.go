package stdlib_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// As gin's UseH2C and echo's StartH2CServer do.
func serveH2C(t *testing.T, ctl *core.Controller, handler http.Handler, opts ...stdlib.ServeOption) *servertest.Server {
	t.Helper()
	return servertest.New(t, ctl, servertest.NewHTTP(h2c.NewHandler(handler, new(http2.Server)))).Start(opts...)
}

func impaired(ctl *core.Controller, what string) (times uint64) {
	for cause, n := range ctl.Stats().Impaired {
		if strings.Contains(cause, what) {
			times += n
		}
	}
	return times
}

func TestADrainEndsConnectionsWhoseHTTP2AHandlerServes(t *testing.T) {
	ctl := servertest.NewController(t)
	s := serveH2C(t, ctl, servertest.Hello, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	busy, idle := clienttest.DialUnencryptedHTTP2(t, s.Address), clienttest.DialUnencryptedHTTP2(t, s.Address)
	for _, c := range []*clienttest.HTTP2{busy, idle} {
		if r := c.Get("/"); r.Body != "hello" {
			t.Fatalf("the response is %+v", r)
		}
	}
	if n := impaired(ctl, "h2c"); n != 2 {
		t.Errorf("two connections were counted %d times: %v", n, ctl.Stats().Impaired)
	}
	s.Drain()
	busy.ExpectGoAway()
	if r := busy.Get("/crossing"); r.Body != "hello" {
		t.Errorf("a request that crossed the first GOAWAY was answered with %+v", r)
	}
	for _, c := range []*clienttest.HTTP2{busy, idle} {
		c.ExpectEnd()
		c.Close()
		if last := c.LastStreams; len(last) != 2 || last[0] != 1<<31-1 {
			t.Errorf("the GOAWAYs name the streams %v", last)
		}
	}
	if report := s.MustEnd(); report.Announced != 2 || report.Forced != 0 || report.ClosedIdle != 0 {
		t.Errorf("the report is %+v", report)
	}
}

// curl --http2 and Java's client ask for HTTP/2 in this way.
func TestADrainEndsAConnectionThatWasUpgradedToHTTP2(t *testing.T) {
	ctl := servertest.NewController(t)
	s := serveH2C(t, ctl, servertest.Hello, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	conn, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(clienttest.Patience))
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", response, err)
	}
	io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, reader)
	framer.WriteSettings()
	var last []uint32
	drained := false
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			break
		}
		switch f := frame.(type) {
		case *http2.DataFrame:
			if f.StreamEnded() && !drained {
				drained = true
				s.Drain()
			}
		case *http2.GoAwayFrame:
			last = append(last, f.LastStreamID)
		case *http2.PingFrame:
			framer.WritePing(true, f.Data)
		}
	}
	conn.Close()
	if len(last) != 2 || last[0] != 1<<31-1 || last[1] != 1 {
		t.Errorf("the GOAWAYs name the streams %v", last)
	}
	if report := s.MustEnd(); report.Announced != 1 || report.Forced != 0 {
		t.Errorf("the report is %+v", report)
	}
}

// Below such a handler a middleware sees the requests, and decides about them.
func TestBelowAHandlerThatServesHTTP2AMiddlewareDecides(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	s := serveH2C(t, ctl, stdlib.Middleware(ctl)(servertest.Hello))
	client := clienttest.DialUnencryptedHTTP2(t, s.Address)
	client.Get("/")
	client.ExpectOpen()
	client.Get("/login")
	client.ExpectGoAway()
	client.ExpectEnd()
	client.Close()
	expectOneClose(t, ctl, core.ReasonRoute)
}

// A handler that does not know of HTTP/2 ignores what asks for it.
func TestAnUpgradeToHTTP2ThatNobodyKnowsIsIgnored(t *testing.T) {
	ctl := servertest.NewController(t)
	var interfaces string
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		interfaces = interfacesOf(w)
		servertest.Hello(w, r)
	}))
	client := clienttest.Dial(t, s.Address)
	get(t, client, "/")
	plain := interfaces
	client.ExpectKept(get(t, client, "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
	if interfaces != plain {
		t.Errorf("its writer has %s, another one %s", interfaces, plain)
	}
	if n := impaired(ctl, "h2c"); n > 0 {
		t.Errorf("counted %d times", n)
	}
}

// derivedTLS is a listener whose connections have more than a *tls.Conn.
type derivedTLS struct {
	net.Listener
	config *tls.Config
}

type derivedTLSConn struct {
	*tls.Conn
	_ string
}

func (l derivedTLS) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &derivedTLSConn{Conn: tls.Server(c, l.config)}, nil
}

// net/http serves HTTP/2 on them since Go 1.27.
func TestHTTP2OnTLSConnectionsOfTheListenersOwnType(t *testing.T) {
	run := func(t *testing.T, ctl *core.Controller) (answer string, all []string) {
		seen := new(states)
		srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Proto, " over TLS: ", r.TLS != nil, " by ", r.TLS.NegotiatedProtocol)
		}))
		srv.TLSConfig = nil // or net/http leaves HTTP/2 to whoever has made it
		srv.ConnState = seen.hook
		l := servertest.Listen(t)
		address := l.Addr().String()
		config := &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}, NextProtos: []string{"h2", "http/1.1"}}
		own := derivedTLS{l, config}
		if ctl != nil {
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
		}
		go srv.Serve(own)
		defer func() {
			srv.Close()
			clienttest.Eventually(t, "the last state", seen.last(http.StateClosed))
			all = seen.all()
		}()
		client := http2Transport(true)
		defer client.CloseIdleConnections()
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address, nil)
		response, err := client.RoundTrip(request)
		if err != nil {
			return "an error", nil
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		clienttest.Eventually(t, "the end of the exchange", seen.last(http.StateIdle))
		return fmt.Sprint(string(body), err), nil
	}
	without, statesWithout := run(t, nil)
	with, statesWith := run(t, servertest.NewController(t))
	if without != with {
		t.Errorf("answered with %q, without us %q", with, without)
	}
	if !slices.Equal(statesWith, statesWithout) {
		t.Errorf("the states are %v, without us %v", statesWith, statesWithout)
	}
}
