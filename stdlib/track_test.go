package stdlib_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

type userKey struct{}

// states notes what a user's ConnState hook is told.
type states struct {
	mu   sync.Mutex
	seen []string
}

func (s *states) hook(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, state.String())
}

func (s *states) are(want ...string) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Equal(s.seen, want)
	}
}

// last says whether a state is the newest one.
func (s *states) last(state http.ConnState) func() bool {
	return func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.seen) > 0 && s.seen[len(s.seen)-1] == state.String()
	}
}

func (s *states) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

func TestTheUsersHooksAreCalledToo(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		srv := servertest.NewHTTP(stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(userKey{}) != "the user's" {
				t.Error("the user's value is not in the context")
			}
			servertest.Hello(w, r)
		})))
		var seen states
		contexts := 0
		srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			contexts++
			return context.WithValue(ctx, userKey{}, "the user's")
		}
		srv.ConnState = seen.hook
		s := servertest.New(t, ctl, srv).Start(over.Opts...)
		client := over.Dial(t, s.Address)
		client.ExpectKept(get(t, client, "/"))
		ctl.Drain()
		client.ExpectClosed(get(t, client, "/"))
		client.Close()
		clienttest.Eventually(t, "the states are those of net/http",
			seen.are("new", "active", "idle", "active", "closed"))
		s.Drain()
		s.MustEnd()
		if contexts != 1 {
			t.Errorf("ConnContext was called %d times", contexts)
		}
	})
}

func TestTrack(t *testing.T) {
	ctl := servertest.NewController(t)
	t.Run("wants a server and a Controller", func(t *testing.T) {
		for _, err := range []error{stdlib.Track(nil, ctl), stdlib.Track(new(http.Server), nil)} {
			if err == nil || !strings.Contains(err.Error(), "Track") || !strings.Contains(err.Error(), "nil") {
				t.Errorf("the error is %v", err)
			}
		}
	})
	t.Run("twice with one Controller counts once", func(t *testing.T) {
		ctl := servertest.NewController(t)
		srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
		for range 2 {
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
		}
		s := servertest.New(t, ctl, srv).Start() // and a third time
		client := clienttest.Dial(t, s.Address)
		get(t, client, "/")
		s.ExpectStats("one connection is open and idle", func(s core.Stats) bool { return s.Open == 1 && s.Idle == 1 })
	})
	t.Run("with another Controller is an error", func(t *testing.T) {
		srv, other := servertest.NewHTTP(nil), servertest.NewController(t)
		if err := stdlib.Track(srv, ctl); err != nil {
			t.Fatal(err)
		}
		if err := stdlib.Track(srv, other); err == nil || !strings.Contains(err.Error(), "another Controller") {
			t.Errorf("Track: %v", err)
		}
		if _, err := stdlib.Serve(t.Context(), srv, other, stdlib.On(servertest.Listen(t))); err == nil || !strings.Contains(err.Error(), "another Controller") {
			t.Errorf("Serve: %v", err)
		}
	})
}

func TestWhoeverTracksAServerAtTheSameTimeFindsItTracked(t *testing.T) {
	ctl := servertest.NewController(t)
	for range 200 {
		srv := new(http.Server)
		var together sync.WaitGroup
		for range 2 {
			together.Go(func() {
				if err := stdlib.Track(srv, ctl); err != nil {
					t.Error(err)
				}
				if srv.ConnContext == nil || srv.ConnState == nil {
					t.Error("Track returned before the hooks were set")
				}
			})
		}
		together.Wait()
	}
}

func TestAServerThatCannotBeTrackedCannotBeTrackedOnTheSecondTryEither(t *testing.T) {
	ctl := servertest.NewController(t)
	srv := &http.Server{TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(*http.Server, *tls.Conn, http.Handler) {},
	}}
	for range 2 {
		if err := stdlib.Track(srv, ctl); err == nil || !strings.Contains(err.Error(), "TLSNextProto") {
			t.Errorf("Track returned %v, want an error that names TLSNextProto", err)
		}
	}
}

func TestATrackedServerCanBeForgotten(t *testing.T) {
	ctl := servertest.NewController(t)
	server := func() weak.Pointer[http.Server] {
		srv := servertest.NewHTTP(nil)
		if err := stdlib.Track(srv, ctl); err != nil {
			t.Fatal(err)
		}
		return weak.Make(srv)
	}()
	clienttest.Eventually(t, "the server is collected", func() bool {
		runtime.GC()
		return server.Value() == nil
	})
}

func TestWhoServesOnTheirOwnGetsTheSameDecisions(t *testing.T) {
	for name, wrap := range map[string]func(net.Listener, *core.Controller) net.Listener{
		"with Listener":    stdlib.Listener,
		"without Listener": func(l net.Listener, _ *core.Controller) net.Listener { return l },
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range everyReason {
				t.Run(string(c.reason), func(t *testing.T) {
					ctl, l := servertest.NewController(t, c.opts...), servertest.Listen(t)
					srv := servertest.NewHTTP(stdlib.Middleware(ctl)(app()))
					if err := stdlib.Track(srv, ctl); err != nil {
						t.Fatal(err)
					}
					servertest.Serve(t, srv, wrap(l, ctl), servertest.Cleartext)
					client := clienttest.Dial(t, l.Addr().String())
					if c.before != nil {
						c.before(ctl)
					}
					client.ExpectClosed(client.Get(c.path))
					expectOneClose(t, ctl, c.reason)
					client.Close()
					clienttest.Eventually(t, "no connection is open", func() bool { return ctl.Stats().Open == 0 })
					if n := ctl.Stats().Untracked; n != 0 {
						t.Errorf("%d exchanges are untracked", n)
					}
				})
			}
		})
	}
}

// valueConn is a connection that cannot be a map's key.
type valueConn struct {
	net.Conn
	_ []string
}

type valueListener struct{ net.Listener }

func (l valueListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return valueConn{Conn: c}, err
}

func TestAConnectionThatCannotBeLookedUpIsServedUntracked(t *testing.T) {
	ctl := servertest.NewController(t)
	s := servertest.NewOn(t, valueListener{servertest.Listen(t)}, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))).Start(stdlib.DrainTimeout(far))
	client := clienttest.Dial(t, s.Address)
	get(t, client, "/")
	if stats := ctl.Stats(); stats.Open != 0 || stats.Untracked != 1 {
		t.Errorf("the statistics are %+v", stats)
	}
	ctl.Drain()
	client.ExpectClosed(get(t, client, "/"))
	s.Drain()
	s.MustEnd()
}

// A listener of the user's own may return connections of any type.
type wrappedConn struct{ net.Conn }

type wrappingListener struct{ net.Listener }

func (l wrappingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &wrappedConn{c}, err
}

// strangersListener returns connections that do not know who their client is, as
// net/http allows.
type strangersListener struct{ net.Listener }

type stranger struct{ net.Conn }

func (stranger) RemoteAddr() net.Addr { return nil }

func (l strangersListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &stranger{c}, err
}

func TestWhatIsCutMayHaveAClientThatNobodyKnows(t *testing.T) {
	t.Parallel()
	ctl := servertest.NewController(t)
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(begun); <-release })
	s := servertest.NewOn(t, strangersListener{servertest.Listen(t)}, ctl, servertest.NewHTTP(handler)).Start(stdlib.DrainTimeout(200 * time.Millisecond))
	clienttest.Dial(t, s.Address).Send(clienttest.Request("GET", "/hang"))
	clienttest.Receive(t, "the request", begun)
	s.Drain()
	report, err := s.Wait()
	if !errors.Is(err, stdlib.ErrDrainTimeout) || len(report.Cut) != 1 || report.Cut[0].Client != "" || report.Cut[0].Route != "GET /hang" {
		t.Errorf("%v, %+v", err, report)
	}
}

func TestConnectionsOfAnotherTypeAreTracked(t *testing.T) {
	t.Parallel()
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		opts := append([]stdlib.ServeOption{stdlib.IdleGrace(50 * time.Millisecond), stdlib.DrainTimeout(far)}, over.Opts...)
		s := servertest.NewOn(t, wrappingListener{servertest.Listen(t)}, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))).Start(opts...)
		idle, busy := over.Dial(t, s.Address), over.Dial(t, s.Address)
		get(t, idle, "/")
		get(t, busy, "/")
		s.ExpectStats("two are idle", func(s core.Stats) bool { return s.Open == 2 && s.Idle == 2 })
		ctl.Drain()
		busy.ExpectClosed(get(t, busy, "/"))
		s.Drain()
		idle.ExpectEnd()
		if report := s.MustEnd(); report.Announced != 1 || report.ClosedIdle != 1 {
			t.Errorf("the report is %+v", report)
		}
	})
	t.Run("cut at the timeout", func(t *testing.T) {
		ctl := servertest.NewController(t)
		entered, release := make(chan struct{}), make(chan struct{})
		defer close(release)
		handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
		})
		s := servertest.NewOn(t, wrappingListener{servertest.Listen(t)}, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(handler))).Start(stdlib.DrainTimeout(50 * time.Millisecond))
		client := clienttest.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/"))
		clienttest.Receive(t, "the request", entered)
		s.Drain()
		if report, _ := s.Wait(); report.Forced != 1 {
			t.Errorf("the report is %+v", report)
		}
		if _, err := client.TryReceive(); err == nil {
			t.Error("the request was answered")
		}
	})
}

func TestWithTheMiddlewareAloneConnectionsAreUntracked(t *testing.T) {
	for _, c := range everyReason {
		t.Run(string(c.reason), func(t *testing.T) {
			ctl := servertest.NewController(t, c.opts...)
			client := clienttest.Dial(t, serveBare(t, servertest.Cleartext, stdlib.Middleware(ctl)(app())))
			if c.before != nil {
				c.before(ctl)
			}
			r := client.Get(c.path)
			if c.reason == core.ReasonAge || c.reason == core.ReasonRequests {
				client.ExpectKept(r)
			} else {
				client.ExpectClosed(r)
				expectOneClose(t, ctl, c.reason)
			}
			stats := ctl.Stats()
			if stats.Untracked != 1 || stats.Exchanges != 1 || stats.Open != 0 {
				t.Errorf("the statistics are %+v", stats)
			}
		})
	}
}

func TestTheStatisticsFollowTheConnections(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				entered <- struct{}{}
				<-release
			}
			servertest.Hello(w, r)
		}), over.Opts...)
		expect := func(want string) {
			t.Helper()
			s.ExpectStats(want, func(s core.Stats) bool {
				return fmt.Sprintf("open %d idle %d active %d flying %d served %d", s.Open, s.Idle, s.Active, s.InFlight, s.Exchanges) == want
			})
		}
		expect("open 0 idle 0 active 0 flying 0 served 0")
		one, two := over.Dial(t, s.Address), over.Dial(t, s.Address)
		get(t, one, "/")
		expect("open 2 idle 2 active 0 flying 0 served 1")
		two.Send(clienttest.Request("GET", "/slow"))
		clienttest.Receive(t, "the request", entered)
		expect("open 2 idle 1 active 1 flying 1 served 2")
		close(release)
		two.Receive()
		expect("open 2 idle 2 active 0 flying 0 served 2")
		one.Close()
		expect("open 1 idle 1 active 0 flying 0 served 2")
		two.Close()
		expect("open 0 idle 0 active 0 flying 0 served 2")
	})
}
