package stdlib_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// observer remembers what it is told.
type observer struct {
	mu     sync.Mutex
	events []core.Event
}

func observe(t testing.TB, ctl *core.Controller) *observer {
	t.Helper()
	o := new(observer)
	t.Cleanup(ctl.Observe(func(e core.Event) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.events = append(o.events, e)
	}))
	return o
}

// of returns the events of one kind so far.
func (o *observer) of(kind core.EventKind) (events []core.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

// wait waits until so many of one kind have come.
func (o *observer) wait(t testing.TB, kind core.EventKind, n int) []core.Event {
	t.Helper()
	clienttest.Eventually(t, "events: "+string(kind), func() bool { return len(o.of(kind)) >= n })
	return o.of(kind)
}

// Who ended a connection is told by what its client did.
func TestHowAConnectionEndedIsToldByWhatItsClientSaw(t *testing.T) {
	handler := http.NewServeMux()
	handler.HandleFunc("/", servertest.Hello)
	taken := echoing{make(chan net.Conn, 1)}
	handler.Handle("/take", taken)
	handler.HandleFunc("/copy", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: copy\r\nConnection: Upgrade\r\n\r\n")
		io.Copy(io.Discard, conn) // as a proxy does, which does not call Read where there is a WriteTo
	})
	handler.HandleFunc("/login/abort", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK) // which announces, and does not leave
		panic(http.ErrAbortHandler)
	})
	handler.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for _, test := range []struct {
		name   string
		how    core.How
		reason core.Reason
		meet   func(*testing.T, *clienttest.Conn)
	}{
		{"the client leaves without a request", core.HowClient, "", func(_ *testing.T, c *clienttest.Conn) {
			c.Close()
		}},
		{"the client leaves after a response", core.HowClient, "", func(t *testing.T, c *clienttest.Conn) {
			get(t, c, "/")
			c.Close()
		}},
		{"the client says that it closes", core.HowClient, "", func(_ *testing.T, c *clienttest.Conn) {
			c.Get("/", "Connection: close")
			c.ExpectEnd()
		}},
		{"the client resets", core.HowError, "", func(t *testing.T, c *clienttest.Conn) {
			get(t, c, "/")
			reset(t, c)
		}},
		{"it is silent for too long", core.HowIdle, "", func(t *testing.T, c *clienttest.Conn) {
			get(t, c, "/")
			c.ExpectEnd()
		}},
		{"it sends no HTTP", core.HowError, "", func(_ *testing.T, c *clienttest.Conn) {
			c.Send("not HTTP\r\n\r\n")
			c.TryReceive()
			c.ExpectGone()
		}},
		{"its handler gives up", core.HowError, "", func(_ *testing.T, c *clienttest.Conn) {
			c.Send(clienttest.Request("GET", "/abort"))
			c.ExpectGone()
		}},
		{"its handler gives up a response that announces", core.HowError, "", func(_ *testing.T, c *clienttest.Conn) {
			c.Send(clienttest.Request("GET", "/login/abort"))
			c.ExpectGone()
		}},
		{"a response announces, and the client leaves", core.HowAnnounced, core.ReasonRoute, func(_ *testing.T, c *clienttest.Conn) {
			c.ExpectClosed(c.Get("/login"))
			c.Close()
		}},
		{"its handler takes it over, and the client leaves", core.HowClient, "", func(t *testing.T, c *clienttest.Conn) {
			take(t, c)
			clienttest.Receive(t, "the hijack", taken.taken)
			c.Close()
		}},
		{"its handler copies from it until the client leaves", core.HowClient, "", func(t *testing.T, c *clienttest.Conn) {
			if r := c.Get("/copy", "Connection: Upgrade", "Upgrade: copy"); r.Status != http.StatusSwitchingProtocols {
				t.Errorf("the upgrade was answered with %d", r.Status)
			}
			c.Close()
		}},
		{"its handler takes it over and closes it", core.HowHandler, "", func(t *testing.T, c *clienttest.Conn) {
			take(t, c)
			clienttest.Receive(t, "the hijack", taken.taken).Close()
			c.ExpectEnd()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				ctl := servertest.NewController(t, core.OnRoutes("/login/"))
				o := observe(t, ctl)
				srv := servertest.NewHTTP(stdlib.Middleware(ctl)(handler))
				if test.how == core.HowIdle {
					srv.IdleTimeout = 50 * time.Millisecond
				}
				s := servertest.New(t, ctl, srv).Start(over.Opts...)
				client := over.Dial(t, s.Address)
				accepted := o.wait(t, core.EventAccepted, 1)[0]
				if remote := client.LocalAddr().String(); accepted.Remote != remote || accepted.Connection == 0 {
					t.Errorf("accepted %+v, the client is %s", accepted, remote)
				}
				test.meet(t, client)
				gone := o.wait(t, core.EventGone, 1)[0]
				if gone.How != test.how || gone.Reason != test.reason || gone.Remote != accepted.Remote || gone.Connection != accepted.Connection {
					t.Errorf("gone %+v; want how %q and reason %q", gone, test.how, test.reason)
				}
				if announced := test.how == core.HowAnnounced; (gone.Compliance > 0) != announced || len(o.of(core.EventAnnounced)) > 0 != announced {
					t.Errorf("gone %+v, announced %+v", gone, o.of(core.EventAnnounced))
				}
			})
		})
	}
}

// reset ends a connection without a FIN.
func reset(t *testing.T, c *clienttest.Conn) {
	t.Helper()
	socket := c.Conn
	if wrapped, ok := socket.(interface{ NetConn() net.Conn }); ok {
		socket = wrapped.NetConn()
	}
	if err := socket.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	socket.Close()
}

func TestAnHTTP2ConnectionsLifeIsTold(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	o := observe(t, ctl)
	s := serve(t, ctl, servertest.Hello, stdlib.TLS("", ""))
	client := clienttest.DialHTTP2(t, s.Address)
	client.Get("/")
	client.Get("/login")
	client.ExpectGoAway()
	client.Close()
	gone := o.wait(t, core.EventGone, 1)[0]
	if gone.Protocol != "2" || gone.How != core.HowAnnounced || gone.Reason != core.ReasonRoute || gone.Requests != 2 || gone.Compliance == 0 {
		t.Errorf("gone %+v", gone)
	}
	if stats := ctl.Stats(); stats.Opened["2"] != 1 || stats.Announcements[core.ReasonRoute]["2"] != 1 {
		t.Errorf("the statistics are %+v", stats)
	}
}

// What a drain did is told once, and by all in the same way.
func TestADrainsEventsAgreeWithItsReport(t *testing.T) {
	t.Parallel()
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		o := observe(t, ctl)
		begun, answer, returned := make(chan struct{}, 2), make(chan struct{}), make(chan struct{})
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/slow":
				begun <- struct{}{}
				<-answer
			case "/hang":
				begun <- struct{}{}
				<-r.Context().Done()
				defer close(returned)
				io.WriteString(w, strings.Repeat("announces, to nobody", 1000))
			}
			servertest.Hello(w, r)
		}), append([]stdlib.ServeOption{stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far)}, over.Opts...)...)
		silent, served, hanging := over.Dial(t, s.Address), over.Dial(t, s.Address), over.Dial(t, s.Address)
		get(t, silent, "/")
		s.AreIdle(3)
		served.Send(clienttest.Request("GET", "/slow"))
		hanging.Send(clienttest.Request("GET", "/hang"))
		for range 2 {
			clienttest.Receive(t, "a request that does not end", begun)
		}
		s.Drain()
		silent.ExpectEnd()
		close(answer)
		served.ExpectClosed(served.Receive())
		served.Close()
		o.wait(t, core.EventGone, 2)
		s.Force()
		report, _ := s.Wait()
		clienttest.Receive(t, "the end of the handler that was cut", returned)

		if report.Announced != 1 || report.ClosedIdle != 1 || report.Forced != 1 {
			t.Errorf("the report is %+v", report)
		}
		how := make(map[core.How]int)
		for _, e := range o.of(core.EventGone) {
			how[e.How]++
		}
		if closes := ctl.Stats().Closes[core.ReasonDrain]; int(closes) != report.Announced {
			t.Errorf("%d are counted, the report is %+v", closes, report)
		}
		if len(o.of(core.EventAnnounced)) != report.Announced || how[core.HowAnnounced] != 1 || how[core.HowIdle] != report.ClosedIdle || how[core.HowForced] != report.Forced {
			t.Errorf("ended by %v, announced %d; the report is %+v", how, len(o.of(core.EventAnnounced)), report)
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		var steps []core.EventKind
		for _, e := range o.events {
			if e.Connection == 0 {
				steps = append(steps, e.Kind)
			}
		}
		if want := []core.EventKind{core.EventDrain, core.EventListenerClosed, core.EventDrained}; !slices.Equal(steps, want) || o.events[len(o.events)-1].Kind != core.EventDrained {
			t.Errorf("the steps are %v, want %v and nothing after", steps, want)
		}
	})
}

// The request is its handler's, which may change it while somebody looks.
func TestWhatIsUnderWayIsListedWhateverItsHandlerDoesToTheRequest(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		begun, release := make(chan struct{}), make(chan struct{})
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			for busy := true; busy; {
				*r = *r.WithContext(r.Context())
				r.Method, r.RequestURI, r.URL.Path = "OTHER", "/other", "/other"
				select {
				case <-release:
					busy = false
				case <-time.After(time.Millisecond):
				}
			}
			servertest.Hello(w, r)
		}), over.Opts...)
		client := over.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/reports?token=secret"))
		clienttest.Receive(t, "the handler", begun)
		clienttest.Eventually(t, "it has been under way for a while", func() bool {
			listed := ctl.Connections(1)
			if len(listed) != 1 || listed[0].Route != "GET /reports" || listed[0].State != "active" {
				t.Fatalf("listed %+v", listed)
			}
			return listed[0].Ran > 20*time.Millisecond
		})
		close(release)
		client.Receive()
		s.AreIdle(1)
		if listed := ctl.Connections(1); listed[0].Route != "" || listed[0].Ran != 0 {
			t.Errorf("after the response %+v", listed)
		}
	})
}

func TestTheControllerListsAServersConnections(t *testing.T) {
	ctl := servertest.NewController(t)
	s := serve(t, ctl, servertest.Hello)
	client := clienttest.Dial(t, s.Address)
	get(t, client, "/")
	s.AreIdle(1)
	listed := ctl.Connections(10)
	if len(listed) != 1 || listed[0].Remote != client.LocalAddr().String() || listed[0].State != "idle" || listed[0].Requests != 1 {
		t.Errorf("listed %+v", listed)
	}
	client.Close()
	clienttest.Eventually(t, "nothing is listed", func() bool { return len(ctl.Connections(10)) == 0 })
}
