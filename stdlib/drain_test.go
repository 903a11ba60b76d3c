package stdlib_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// far is longer than any wait of a test: what takes as long has failed.
const far = 10 * time.Minute

func TestTheDrainIsOverWhenTheLastConnectionHasGone(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		opts := append([]stdlib.ServeOption{stdlib.IdleGrace(far), stdlib.DrainTimeout(2 * far)}, over.Opts...)
		s := serve(t, servertest.NewController(t), servertest.Hello, opts...)
		clients := make([]*clienttest.Conn, 3)
		for i := range clients {
			clients[i] = over.Dial(t, s.Address)
			clients[i].ExpectKept(get(t, clients[i], "/"))
		}
		s.Drain()
		s.ListenerIsClosed()
		for _, c := range clients {
			c.ExpectClosed(get(t, c, "/"))
			c.Close()
		}
		report := s.MustEnd()
		if report.Duration <= 0 || report.Duration > clienttest.Patience {
			t.Errorf("the drain took %v", report.Duration)
		}
		report.Duration = 0
		if want := (stdlib.Report{Announced: 3, Served: 3}); !reflect.DeepEqual(report, want) {
			t.Errorf("the report is %+v, want %+v", report, want)
		}
		stats := s.Controller.Stats()
		if stats.Open != 0 || stats.Active != 0 || stats.Idle != 0 || stats.InFlight != 0 || stats.Exchanges != 6 ||
			stats.Closes[core.ReasonDrain] != 3 || stats.Untracked != 0 || !stats.Draining {
			t.Errorf("the statistics are %+v", stats)
		}
	})
}

func TestWithoutAConnectionTheDrainIsOverAtOnce(t *testing.T) {
	s := serve(t, servertest.NewController(t), servertest.Hello, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	s.Drain()
	report := s.MustEnd()
	report.Duration = 0
	if !reflect.DeepEqual(report, stdlib.Report{}) {
		t.Errorf("the report is %+v", report)
	}
}

func TestAContextThatIsDoneAlreadyDrainsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l, ctl := servertest.Listen(t), servertest.NewController(t)
	if _, err := stdlib.Serve(ctx, servertest.NewHTTP(nil), ctl, stdlib.On(l), stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far)); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := l.Accept(); err == nil || !ctl.Draining() {
		t.Errorf("Accept: %v; draining: %v", err, ctl.Draining())
	}
}

// A cut request is not an answered one, though its handler may come to its end.
func TestWhatWasCutIsNotCountedAsServed(t *testing.T) {
	entered := make(chan struct{})
	s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		servertest.Hello(w, r)
	}), stdlib.DrainTimeout(50*time.Millisecond))
	client := clienttest.Dial(t, s.Address)
	client.Send(clienttest.Request("GET", "/"))
	clienttest.Receive(t, "the request", entered)
	s.Drain()
	if report, _ := s.Wait(); report.Served != 0 || report.Announced != 0 || report.Forced != 1 {
		t.Errorf("the report is %+v", report)
	}
}

func TestARequestUnderWayIsAnsweredAndAnnounced(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-release
			servertest.Hello(w, r)
		}), append([]stdlib.ServeOption{stdlib.IdleGrace(time.Millisecond)}, over.Opts...)...)
		client := over.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/"))
		clienttest.Receive(t, "the request", entered)
		s.Drain()
		s.ListenerIsClosed()
		close(release)
		client.ExpectClosed(client.Receive())
		client.Close()
		if report := s.MustEnd(); report.Announced != 1 || report.Served != 1 || report.ClosedIdle != 0 {
			t.Errorf("the report is %+v", report)
		}
	})
}

func TestConnectionsWithoutARequestAreClosedAfterTheIdleGrace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		use  func(*testing.T, *clienttest.Conn)
	}{
		{"idle after a request", func(t *testing.T, c *clienttest.Conn) { get(t, c, "/") }},
		{"one that never spoke", func(*testing.T, *clienttest.Conn) {}},
		{"one that stopped within its first header", func(_ *testing.T, c *clienttest.Conn) {
			c.Send("GET / HTTP/1.1\r\nHo")
		}},
		{"one that stopped within its second header", func(t *testing.T, c *clienttest.Conn) {
			get(t, c, "/")
			c.Send("GET / HTTP/1.1\r\nHo")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				opts := append([]stdlib.ServeOption{stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far)}, over.Opts...)
				s := serve(t, servertest.NewController(t), servertest.Hello, opts...)
				client := over.Dial(t, s.Address)
				c.use(t, client)
				s.AreIdle(1)
				s.Drain()
				report := s.MustEnd()
				if report.Duration < 50*time.Millisecond {
					t.Errorf("the drain was over after %v, before the grace", report.Duration)
				}
				report.Duration = 0
				if want := (stdlib.Report{ClosedIdle: 1}); !reflect.DeepEqual(report, want) {
					t.Errorf("the report is %+v, want %+v", report, want)
				}
				client.ExpectGone()
			})
		})
	}
}

func TestAClientThatIsSlowWithItsHeaderIsNotIdle(t *testing.T) {
	t.Parallel() // takes as long as the client does
	const grace = time.Second
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		t.Parallel()
		opts := append([]stdlib.ServeOption{stdlib.IdleGrace(grace), stdlib.DrainTimeout(far)}, over.Opts...)
		for slow := false; !slow; {
			s := serve(t, servertest.NewController(t), servertest.Hello, opts...)
			client := over.Dial(t, s.Address)
			get(t, client, "/")
			s.Drain()
			s.ListenerIsClosed()
			if slow = sendSlowly(client, clienttest.Request("GET", "/"), grace); !slow {
				continue // a machine that has better things to do
			}
			client.ExpectClosed(client.Receive())
			client.Close()
			if report := s.MustEnd(); report.Announced != 1 || report.ClosedIdle != 0 {
				t.Errorf("the report is %+v", report)
			}
		}
	})
}

// sendSlowly takes more than grace for a request. It returns false where it
// paused for as long.
func sendSlowly(client *clienttest.Conn, request string, grace time.Duration) bool {
	pace := time.NewTicker(2 * grace / time.Duration(len(request)))
	defer pace.Stop()
	last := time.Now()
	for i := range len(request) {
		<-pace.C
		_, err := io.WriteString(client, request[i:i+1])
		now := time.Now()
		if err != nil || now.Sub(last) > grace/2 {
			return false
		}
		last = now
	}
	return true
}

// A spread that has hardly begun keeps the connections that go on asking.
func TestTheIdleGraceBeginsAnewWithEveryRequest(t *testing.T) {
	t.Parallel()
	const spread, grace = 1_000_000 * time.Hour, 500 * time.Millisecond
	s := serve(t, servertest.NewController(t, core.DrainSpread(spread)), servertest.Hello,
		stdlib.IdleGrace(grace), stdlib.DrainTimeout(2*spread))
	client := clienttest.Dial(t, s.Address)
	get(t, client, "/")
	asked := time.Now() // a machine that has better things to do may never come to ask again
	s.Drain()
	s.ListenerIsClosed()
	pace := time.NewTicker(grace / 50)
	defer pace.Stop()
	for began := time.Now(); time.Since(began) < 2*grace; <-pace.C {
		sent := time.Now()
		io.WriteString(client, clienttest.Request("GET", "/"))
		r, err := client.TryReceive()
		if err != nil {
			break // the machine had better things to do than to ask in time
		}
		if r.Connection != nil {
			t.Fatalf("Connection is %q, at the very start of the spread", r.Connection)
		}
		asked = sent
	}
	client.End()
	if after := time.Since(asked); after < grace {
		t.Errorf("it was closed %v after the last request", after)
	}
	if report := s.MustEnd(); report.ClosedIdle != 1 {
		t.Errorf("the report is %+v", report)
	}
}

func TestIdleGraceZeroWaitsUntilTheTimeout(t *testing.T) {
	t.Parallel()
	s := serve(t, servertest.NewController(t), servertest.Hello, stdlib.IdleGrace(0), stdlib.DrainTimeout(200*time.Millisecond))
	client := clienttest.Dial(t, s.Address)
	get(t, client, "/")
	s.AreIdle(1)
	s.Drain()
	report, err := s.Wait()
	if !errors.Is(err, stdlib.ErrDrainTimeout) {
		t.Errorf("Serve: %v", err)
	}
	if report.ClosedIdle != 1 || report.Forced != 0 || report.Duration < 200*time.Millisecond {
		t.Errorf("the report is %+v", report)
	}
	client.ExpectEnd()
}

func TestAtTheTimeoutWhatIsUnderWayIsCut(t *testing.T) {
	t.Parallel()
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		entered, release := make(chan struct{}, 2), make(chan struct{})
		defer close(release)
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/streaming" {
				servertest.Hello(w, r)
				http.NewResponseController(w).Flush()
			}
			if r.URL.Path != "/" {
				entered <- struct{}{}
				<-release
			}
			servertest.Hello(w, r)
		}), append([]stdlib.ServeOption{stdlib.DrainTimeout(300 * time.Millisecond)}, over.Opts...)...)
		idle, blocked, streaming := over.Dial(t, s.Address), over.Dial(t, s.Address), over.Dial(t, s.Address)
		get(t, idle, "/")
		s.AreIdle(3)
		blocked.Send(clienttest.Request("GET", "/blocked"))
		streaming.Send(clienttest.Request("GET", "/streaming"))
		for range 2 {
			clienttest.Receive(t, "the request", entered)
		}
		s.Drain()
		// The handlers do not return: nobody waits for them.
		report, err := s.Wait()
		if !errors.Is(err, stdlib.ErrDrainTimeout) {
			t.Errorf("Serve: %v", err)
		}
		if report.Forced != 2 || report.ClosedIdle != 1 || report.Announced != 0 || report.Served != 0 {
			t.Errorf("the report is %+v", report)
		}
		s.ExpectStats("nothing is open", func(s core.Stats) bool { return s.Open == 0 && s.Active == 0 })
		if r, err := blocked.TryReceive(); err == nil {
			t.Errorf("the request that was cut has the response %+v", r)
		}
		if r, err := streaming.TryReceive(); err == nil && r.Truncated == nil {
			t.Errorf("the cut response looked whole: %q", r.Body)
		}
	})
}

func TestForceContextForcesTheEnd(t *testing.T) {
	t.Run("of a drain under way", func(t *testing.T) {
		ctx, force := context.WithCancel(context.Background())
		s := serve(t, servertest.NewController(t), servertest.Hello, stdlib.ForceContext(ctx), stdlib.IdleGrace(0), stdlib.DrainTimeout(far))
		client := clienttest.Dial(t, s.Address)
		get(t, client, "/")
		s.AreIdle(1)
		s.Drain()
		s.ListenerIsClosed()
		force()
		if report, err := s.Wait(); !errors.Is(err, stdlib.ErrDrainTimeout) || report.ClosedIdle != 1 {
			t.Errorf("Serve: %v, %v", report, err)
		}
	})
	t.Run("of one that has not begun", func(t *testing.T) {
		ctx, force := context.WithCancel(context.Background())
		s := serve(t, servertest.NewController(t), servertest.Hello, stdlib.ForceContext(ctx), stdlib.IdleGrace(0), stdlib.DrainTimeout(far))
		client := clienttest.Dial(t, s.Address)
		get(t, client, "/")
		s.AreIdle(1)
		force()
		if report, err := s.Wait(); !errors.Is(err, stdlib.ErrDrainTimeout) || report.ClosedIdle != 1 {
			t.Errorf("Serve: %v, %v", report, err)
		}
		if !s.Controller.Draining() {
			t.Error("the drain flag is not up")
		}
	})
	t.Run("of an empty server, which is no error", func(t *testing.T) {
		ctx, force := context.WithCancel(context.Background())
		s := serve(t, servertest.NewController(t), servertest.Hello, stdlib.ForceContext(ctx))
		get(t, clienttest.Dial(t, s.Address), "/", "Connection: close")
		s.ExpectStats("no connection", func(s core.Stats) bool { return s.Open == 0 })
		force()
		s.MustEnd()
	})
	t.Run("in the lame duck", func(t *testing.T) {
		ctx, force := context.WithCancel(context.Background())
		s := serve(t, servertest.NewController(t), servertest.Hello, stdlib.ForceContext(ctx), stdlib.LameDuck(far), stdlib.DrainTimeout(2*far))
		get(t, clienttest.Dial(t, s.Address), "/")
		s.BeginDrain()
		force()
		if _, err := s.Wait(); !errors.Is(err, stdlib.ErrDrainTimeout) {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestTheLameDuckServesNewConnectionsAndAnnounces(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctx, force := context.WithCancel(context.Background())
		mux := http.NewServeMux()
		mux.HandleFunc("/", servertest.Hello)
		ctl := servertest.NewController(t)
		mux.Handle("/readyz", stdlib.Ready(ctl))
		s := serve(t, ctl, mux, append([]stdlib.ServeOption{
			stdlib.ForceContext(ctx), stdlib.LameDuck(far), stdlib.DrainTimeout(2 * far), stdlib.IdleGrace(time.Millisecond),
		}, over.Opts...)...)
		idle := over.Dial(t, s.Address)
		get(t, idle, "/")
		s.BeginDrain()
		for range 3 {
			client := over.Dial(t, s.Address)
			r := client.Get("/readyz")
			if r.Status != http.StatusServiceUnavailable {
				t.Errorf("readiness is %d", r.Status)
			}
			client.ExpectClosed(r)
			client.Close()
		}
		idle.ExpectClosed(get(t, idle, "/")) // the grace begins with the listener's close
		idle.Close()
		s.ExpectStats("no connection", func(s core.Stats) bool { return s.Open == 0 })
		// It stays one without a connection too: the balancer sends new ones.
		client := over.Dial(t, s.Address)
		client.ExpectClosed(get(t, client, "/"))
		client.Close()
		force()
		if report, err := s.Wait(); err == nil && (report.Announced != 5 || report.Served != 5) {
			t.Errorf("the report is %+v", report)
		}
	})
}

func TestTheListenerIsClosedAfterTheLameDuck(t *testing.T) {
	t.Parallel()
	s := serve(t, servertest.NewController(t), servertest.Hello, stdlib.LameDuck(100*time.Millisecond), stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	client := clienttest.Dial(t, s.Address)
	get(t, client, "/")
	s.Drain()
	s.ListenerIsClosed()
	client.ExpectClosed(get(t, client, "/"))
	client.Close()
	if report := s.MustEnd(); report.Duration < 100*time.Millisecond {
		t.Errorf("the drain was over after %v, before the lame duck", report.Duration)
	}
}

func TestResume(t *testing.T) {
	t.Run("takes back a Drain while the server serves", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, servertest.Hello)
		ctl.Drain()
		announced := clienttest.Dial(t, s.Address)
		announced.ExpectClosed(get(t, announced, "/"))
		if !ctl.Resume() {
			t.Error("Resume refused")
		}
		client := clienttest.Dial(t, s.Address)
		client.ExpectKept(get(t, client, "/"))
	})
	t.Run("in the lame duck lowers the flag until the listener is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctl, p := servertest.NewController(t), newPipes()
			s := servertest.NewOn(t, p, ctl, servertest.NewHTTP(servertest.Hello)).Start(stdlib.LameDuck(3 * time.Second))
			s.BeginDrain()
			if !ctl.Resume() {
				t.Error("Resume refused before the listener was closed")
			}
			if ctl.Draining() {
				t.Error("the flag is still up")
			}
			<-p.closed
			if !ctl.Draining() {
				t.Error("the flag is down in a drain that goes on")
			}
			s.MustEnd()
		})
	})
	t.Run("is refused once the listener is closed", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, servertest.Hello)
		s.Drain()
		s.MustEnd()
		if ctl.Resume() {
			t.Error("Resume says that the server goes on")
		}
		if !ctl.Draining() {
			t.Error("the flag is down")
		}
	})
}

func TestDrainAloneAnnouncesAndClosesNoListener(t *testing.T) {
	ctl := servertest.NewController(t)
	s := serve(t, ctl, servertest.Hello, stdlib.IdleGrace(time.Millisecond))
	idle := clienttest.Dial(t, s.Address)
	get(t, idle, "/")
	ctl.Drain()
	ctl.Drain()
	for range 3 {
		client := clienttest.Dial(t, s.Address)
		client.ExpectClosed(get(t, client, "/"))
	}
	select {
	case <-s.Done:
		t.Errorf("Serve has returned: %v", s.Err)
	default:
	}
}

func TestSeveralServersShareOneController(t *testing.T) {
	ctl := servertest.NewController(t)
	first := serve(t, ctl, servertest.Hello, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	second := serve(t, ctl, servertest.Hello, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	one, two := clienttest.Dial(t, first.Address), clienttest.Dial(t, second.Address)
	get(t, one, "/")
	get(t, two, "/")
	first.Drain()
	first.ListenerIsClosed()
	// The drain of one makes the other announce as well, and go on.
	two.ExpectClosed(get(t, two, "/"))
	two.Close()
	another := clienttest.Dial(t, second.Address)
	another.ExpectClosed(get(t, another, "/"))
	another.Close()
	one.ExpectClosed(get(t, one, "/"))
	one.Close()
	if report := first.MustEnd(); report.Announced != 1 || report.Served != 1 {
		t.Errorf("the first server's report is %+v", report)
	}
	select {
	case <-second.Done:
		t.Errorf("the second server has ended: %v", second.Err)
	default:
	}
	if ctl.Resume() {
		t.Error("Resume, though one Serve has closed its listener")
	}
	second.Drain()
	second.MustEnd()
}

// As for cleartext and TLS on two ports.
func TestOneServerOnTwoListeners(t *testing.T) {
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
	first := servertest.New(t, ctl, srv).Start(stdlib.IdleGrace(0), stdlib.DrainTimeout(far))
	second := servertest.New(t, ctl, srv).Start(stdlib.IdleGrace(0), stdlib.DrainTimeout(far), stdlib.TLS("", ""))
	one, two := clienttest.Dial(t, first.Address), clienttest.DialTLS(t, second.Address)
	get(t, one, "/")
	get(t, two, "/")
	first.Drain()
	second.Drain()
	first.ListenerIsClosed()
	second.ListenerIsClosed()
	one.ExpectClosed(get(t, one, "/"))
	two.ExpectClosed(get(t, two, "/"))
	one.Close()
	two.Close()
	first.MustEnd()
	second.MustEnd()
}

func TestTheReportIsOneReadableLine(t *testing.T) {
	r := stdlib.Report{
		Duration: 1234567 * time.Microsecond, Announced: 11, ClosedIdle: 22, Forced: 33, Hijacked: 44, Served: 55, InputAfterAnnounce: 66,
	}
	line := r.String()
	for _, want := range []string{"1.2346s", "11", "22", "33", "44", "55", "66"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
	if strings.ContainsAny(line, "\n\r") {
		t.Errorf("%q is more than a line", line)
	}
}

func TestRegisterOnShutdownHooksRunAtTheEndOfTheDrain(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"of one that empties": far, "of one that is cut": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
			ran := make(chan struct{})
			srv.RegisterOnShutdown(func() { close(ran) })
			s := servertest.New(t, ctl, srv).Start(stdlib.IdleGrace(0), stdlib.DrainTimeout(timeout))
			client := clienttest.Dial(t, s.Address)
			get(t, client, "/")
			s.Drain()
			s.ListenerIsClosed()
			if timeout == far {
				select {
				case <-ran:
					t.Error("the hook ran at the beginning of the drain")
				default:
				}
				client.ExpectClosed(get(t, client, "/"))
				client.Close()
			}
			s.Wait()
			clienttest.Receive(t, "the hook", ran)
		})
	}
}
