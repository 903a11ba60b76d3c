package stdlib_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// expectRequestTimeout reads an unasked 408, and the end behind it.
func expectRequestTimeout(t *testing.T, client *clienttest.Conn) {
	t.Helper()
	response := client.Receive()
	if response.Status != http.StatusRequestTimeout || response.Proto != "HTTP/1.1" || response.Body != "" {
		t.Errorf("it was answered with %s %d and %q", response.Proto, response.Status, response.Body)
	}
	if _, err := http.ParseTime(response.Header.Get("Date")); err != nil {
		t.Errorf("the date: %v", err)
	}
	client.ExpectClosed(response)
}

func TestASilentConnectionIsAnsweredAtTheIdleGrace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		use  func(*testing.T, *clienttest.Conn)
	}{
		{"idle after a request", func(t *testing.T, c *clienttest.Conn) { get(t, c, "/") }},
		{"one that stopped within its second header", func(t *testing.T, c *clienttest.Conn) {
			get(t, c, "/")
			c.Send("GET / HTTP/1.1\r\nHo")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				s := serve(t, servertest.NewController(t), servertest.Hello, append([]stdlib.ServeOption{
					stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far), stdlib.RequestTimeoutOnIdleClose(),
				}, over.Opts...)...)
				client := over.Dial(t, s.Address)
				c.use(t, client)
				s.AreIdle(1)
				s.Drain()
				expectRequestTimeout(t, client)
				client.Close()
				if report := s.MustEnd(); report.ClosedIdle != 1 || report.Announced != 0 || report.Forced != 0 {
					t.Errorf("the report is %+v", report)
				}
				s.ExpectStats("nothing is left", func(s core.Stats) bool { return s.Open == 0 && s.Active == 0 && s.Idle == 0 })
			})
		})
	}
}

func TestAConnectionThatNeverSpokeIsAnsweredInCleartextAlone(t *testing.T) {
	t.Parallel()
	opts := []stdlib.ServeOption{
		stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far), stdlib.RequestTimeoutOnIdleClose(),
	}
	t.Run("cleartext", func(t *testing.T) {
		s := serve(t, servertest.NewController(t), servertest.Hello, opts...)
		client := clienttest.Dial(t, s.Address)
		s.AreIdle(1)
		s.Drain()
		expectRequestTimeout(t, client)
	})
	t.Run("TLS", func(t *testing.T) {
		s := serve(t, servertest.NewController(t), servertest.Hello, append(opts, servertest.OverTLS.Opts...)...)
		client := clienttest.DialTLS(t, s.Address)
		s.AreIdle(1)
		s.Drain()
		client.ExpectGone()
	})
	t.Run("within the handshake", func(t *testing.T) {
		s := serve(t, servertest.NewController(t), servertest.Hello, append(opts, servertest.OverTLS.Opts...)...)
		client := clienttest.Dial(t, s.Address)
		client.Send("\x16\x03\x01\x02\x00")
		s.AreIdle(1)
		s.Drain()
		client.ExpectGone()
	})
}

// Without it a request behind the answer would find a closed socket, and the reset
// would take the answer away.
func TestARequestThatCrossesTheAnswerDoesNotReachTheHandler(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		var executed atomic.Int64
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			executed.Add(1)
			servertest.Hello(w, r)
		}), append([]stdlib.ServeOption{
			stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far), stdlib.RequestTimeoutOnIdleClose(),
		}, over.Opts...)...)
		client := over.Dial(t, s.Address)
		get(t, client, "/")
		s.AreIdle(1)
		s.Drain()
		client.WaitReadable() // the answer is there, and this client has not looked
		client.Send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 65536\r\n\r\n" + strings.Repeat("x", 65536))
		expectRequestTimeout(t, client)
		client.Close()
		s.MustEnd()
		if n := executed.Load(); n != 1 {
			t.Errorf("%d requests reached the handler, want the first alone", n)
		}
	})
}

// Many clients that send while their connections are being answered, one after the
// other: what was executed is what the handler has answered.
func TestWhoeverGetsTheAnswerWasNotExecuted(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		const clients = 64
		var executed atomic.Int64
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			executed.Add(1)
			servertest.Hello(w, r)
		}), append([]stdlib.ServeOption{
			stdlib.IdleGrace(30 * time.Millisecond), stdlib.DrainTimeout(far), stdlib.RequestTimeoutOnIdleClose(),
		}, over.Opts...)...)
		var all [clients]*clienttest.Conn
		for i := range all {
			all[i] = over.Dial(t, s.Address)
			get(t, all[i], "/")
		}
		s.AreIdle(clients)
		s.Drain()
		all[0].WaitReadable()
		answered := int64(clients)
		for _, client := range all {
			if _, err := client.Write([]byte(clienttest.Request("POST", "/", "Content-Length: 0"))); err != nil {
				continue
			}
			switch response, err := client.TryReceive(); {
			case err == nil && response.Status == http.StatusOK:
				answered++
			case err == nil && response.Status != http.StatusRequestTimeout:
				t.Errorf("it was answered with %d", response.Status)
			}
			client.Close()
		}
		s.MustEnd()
		if n := executed.Load(); n != answered {
			t.Errorf("%d requests were executed, and %d answered", n, answered)
		}
	})
}

func TestAClientThatDoesNotReadTheAnswerHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := serve(t, servertest.NewController(t), servertest.Hello,
		stdlib.IdleGrace(50*time.Millisecond), stdlib.DrainTimeout(far), stdlib.RequestTimeoutOnIdleClose())
	deaf, client := clienttest.Dial(t, s.Address), clienttest.Dial(t, s.Address)
	get(t, deaf, "/")
	get(t, client, "/")
	s.AreIdle(2)
	s.Drain()
	expectRequestTimeout(t, client)
	client.Close()
	if report := s.MustEnd(); report.ClosedIdle != 2 || report.Forced != 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestARequestUnderWayIsNotAnsweredAtTheIdleGrace(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		servertest.Hello(w, r)
	}), stdlib.IdleGrace(time.Millisecond), stdlib.DrainTimeout(far), stdlib.RequestTimeoutOnIdleClose())
	idle, busy := clienttest.Dial(t, s.Address), clienttest.Dial(t, s.Address)
	busy.Send(clienttest.Request("GET", "/"))
	clienttest.Receive(t, "the request", entered)
	s.Drain()
	expectRequestTimeout(t, idle)
	close(release)
	response := busy.Receive()
	if response.Status != http.StatusOK {
		t.Errorf("it was answered with %d", response.Status)
	}
	busy.ExpectClosed(response)
}

func TestOverHTTP2TheIdleGraceSendsNoRequestTimeout(t *testing.T) {
	ctl := servertest.NewController(t)
	s := servertest.New(t, ctl, servertest.NewHTTP2(stdlib.Middleware(ctl)(servertest.Hello))).Start(
		stdlib.IdleGrace(time.Millisecond), stdlib.DrainTimeout(far), stdlib.RequestTimeoutOnIdleClose(), stdlib.TLS("", ""))
	client := clienttest.DialHTTP2(t, s.Address)
	client.Get("/")
	s.Drain()
	client.ExpectGoAway()
	client.Close()
	if report := s.MustEnd(); report.ClosedIdle != 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestShutdownAnswersAtTheIdleGraceToo(t *testing.T) {
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP(servertest.Hello)
	address := servertest.ServeTracked(t, srv, ctl, servertest.Cleartext)
	client := clienttest.Dial(t, address)
	get(t, client, "/")
	ended := make(chan error, 1)
	go func() {
		_, err := stdlib.Shutdown(t.Context(), srv, ctl, stdlib.IdleGrace(50*time.Millisecond), stdlib.RequestTimeoutOnIdleClose())
		ended <- err
	}()
	expectRequestTimeout(t, client)
	client.Close()
	if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
		t.Error(err)
	}
}
