package stdlib_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// closable is a listener of the program's own, which counts its closes.
type closable struct {
	net.Listener
	mu     sync.Mutex
	closes int
	hang   chan struct{} // where it is not nil Close waits for it, before it closes
}

func (l *closable) Close() error {
	l.mu.Lock()
	l.closes++
	l.mu.Unlock()
	if l.hang != nil {
		<-l.hang
	}
	return l.Listener.Close()
}

func (l *closable) closed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closes
}

func TestTheUsersListenerIsClosedOnce(t *testing.T) {
	for name, end := range map[string]func(*servertest.Server){
		"by a drain":            func(s *servertest.Server) { s.Drain() },
		"by the user's Close":   func(s *servertest.Server) { s.HTTP.Close() },
		"by the end of a force": func(s *servertest.Server) { s.Force() },
	} {
		t.Run(name, func(t *testing.T) {
			l := &closable{Listener: servertest.Listen(t)}
			s := servertest.NewOn(t, l, servertest.NewController(t), servertest.NewHTTP(servertest.Hello)).Start()
			c := clienttest.Dial(t, s.Address)
			get(t, c, "/")
			c.Close()
			s.ExpectStats("it has gone", func(s core.Stats) bool { return s.Open == 0 })
			end(s)
			s.Wait()
			if n := l.closed(); n != 1 {
				t.Errorf("it was closed %d times", n)
			}
		})
	}
}

func TestTwoServesOfOneServerEndEachOnItsOwn(t *testing.T) {
	t.Parallel()
	t.Run("at once, without an error", func(t *testing.T) {
		for range 50 {
			ctl := servertest.NewController(t)
			srv := servertest.NewHTTP(servertest.Hello)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 2)
			for range 2 {
				l := servertest.Listen(t)
				go func() {
					_, err := stdlib.Serve(ctx, srv, ctl, stdlib.On(l))
					ended <- err
				}()
			}
			cancel() // before, while and after they begin to serve
			for range 2 {
				if err := clienttest.Receive(t, "the end of Serve", ended); err != nil {
					t.Errorf("Serve: %v", err)
				}
			}
		}
	})
	t.Run("with a lame duck of their own", func(t *testing.T) {
		ctl := servertest.NewController(t)
		srv := servertest.NewHTTP(servertest.Hello)
		public := servertest.New(t, ctl, srv).Start(stdlib.LameDuck(far), stdlib.DrainTimeout(2*far))
		admin := servertest.New(t, ctl, srv).Start()
		get(t, clienttest.Dial(t, public.Address), "/")
		public.Drain()
		admin.Drain()
		admin.MustEnd()
		c := clienttest.Dial(t, public.Address)
		c.ExpectClosed(get(t, c, "/"))
		public.Force()
		public.Wait()
	})
}

func TestWhatADrainHasUsedUpIsNotServedAgain(t *testing.T) {
	ctl := servertest.NewController(t)
	s := servertest.New(t, ctl, servertest.NewHTTP(servertest.Hello)).Start()
	s.Drain()
	s.MustEnd()
	for name, c := range map[string]struct {
		srv  *http.Server
		ctl  *core.Controller
		want string
	}{
		"the Controller": {servertest.NewHTTP(nil), ctl, "used the Controller up"},
		"the server":     {s.HTTP, ctl, "used the server up"},
	} {
		_, err := stdlib.Serve(context.Background(), c.srv, c.ctl, stdlib.On(servertest.Listen(t)))
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, http.ErrServerClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nobody's code holds a Serve for longer than its timeout.
func TestCodeOfTheProgramsThatHangsIsNotWaitedForPastTheTimeout(t *testing.T) {
	for name, hanging := range map[string]func(t *testing.T, hang chan struct{}, start func(net.Listener, *core.Controller, ...stdlib.ServeOption)){
		"a listener's Close": func(t *testing.T, hang chan struct{}, start func(net.Listener, *core.Controller, ...stdlib.ServeOption)) {
			start(&closable{Listener: newPipes(), hang: hang}, servertest.NewController(t))
		},
		"OnDrain": func(t *testing.T, hang chan struct{}, start func(net.Listener, *core.Controller, ...stdlib.ServeOption)) {
			start(newPipes(), servertest.NewController(t), stdlib.OnDrain(func() { <-hang }))
		},
		"OnListening": func(t *testing.T, hang chan struct{}, start func(net.Listener, *core.Controller, ...stdlib.ServeOption)) {
			start(newPipes(), servertest.NewController(t), stdlib.OnListening(func(net.Addr) { <-hang }))
		},
		"a DrainWhen function": func(t *testing.T, hang chan struct{}, start func(net.Listener, *core.Controller, ...stdlib.ServeOption)) {
			start(newPipes(), servertest.NewController(t, core.DrainWhen(func() bool { <-hang; return false })))
		},
		"the logger's handler": func(t *testing.T, hang chan struct{}, start func(net.Listener, *core.Controller, ...stdlib.ServeOption)) {
			start(newPipes(), servertest.NewController(t, core.Logger(slog.New(hangingHandler{slog.DiscardHandler, hang}))))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang := make(chan struct{})
				defer close(hang)
				hanging(t, hang, func(l net.Listener, ctl *core.Controller, opts ...stdlib.ServeOption) {
					ctx, cancel := context.WithCancel(context.Background())
					cancel()
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						opts = append(opts, stdlib.On(l), stdlib.DrainTimeout(100*time.Millisecond))
						stdlib.Serve(ctx, servertest.NewHTTP(servertest.Hello), ctl, opts...)
					}()
					clienttest.Receive(t, "the end of Serve", ended)
				})
			})
		})
	}
}

func TestAHookThatEndsItsGoroutineIsNotWaitedFor(t *testing.T) {
	opts := []stdlib.ServeOption{stdlib.OnDrain(runtime.Goexit), stdlib.DrainTimeout(far)}
	t.Run("of Serve", func(t *testing.T) {
		s := servertest.New(t, servertest.NewController(t), servertest.NewHTTP(servertest.Hello)).Start(opts...)
		s.Drain()
		s.MustEnd()
	})
	t.Run("of Shutdown", func(t *testing.T) {
		ctl, srv := servertest.NewController(t), servertest.NewHTTP(servertest.Hello)
		if err := stdlib.Track(srv, ctl); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := stdlib.Shutdown(t.Context(), srv, ctl, opts...)
			ended <- err
		}()
		if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
			t.Error(err)
		}
	})
}

type hangingHandler struct {
	slog.Handler
	hang chan struct{}
}

func (h hangingHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h hangingHandler) Handle(context.Context, slog.Record) error {
	<-h.hang
	return nil
}

func TestHooksThatAreSetAfterTrackAreChained(t *testing.T) {
	type key struct{}
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != "the connection's" {
			t.Error("the user's ConnContext was not called")
		}
		servertest.Hello(w, r)
	}))
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	var seen states
	srv.ConnState = seen.hook
	srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, key{}, "the connection's")
	}
	l := servertest.Listen(t)
	servertest.Serve(t, srv, l, servertest.Cleartext)
	c := clienttest.Dial(t, l.Addr().String())
	get(t, c, "/")
	c.Close()
	clienttest.Eventually(t, "the user's hook has seen all", seen.are("new", "active", "idle", "closed"))
	clienttest.Eventually(t, "the record is gone", func() bool { return ctl.Stats().Open == 0 })
	if s := ctl.Stats(); s.Untracked != 0 || len(s.Impaired) != 0 {
		t.Errorf("the statistics are %+v", s)
	}
}

// A BaseContext that calls the one that it found adds to what that gives.
func TestABaseContextThatIsPutAroundOursIsTheConnections(t *testing.T) {
	type key struct{}
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(key{}) != "the server's" {
			t.Error("the user's BaseContext was not called, or what it gives is lost")
		}
		servertest.Hello(w, r)
	}))
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	found := srv.BaseContext
	srv.BaseContext = func(l net.Listener) context.Context {
		return context.WithValue(found(l), key{}, "the server's")
	}
	l := servertest.Listen(t)
	servertest.Serve(t, srv, l, servertest.Cleartext)
	c := clienttest.Dial(t, l.Addr().String())
	c.ExpectKept(get(t, c, "/"))
	ctl.Drain()
	c.ExpectClosed(get(t, c, "/"))
	c.Close()
	clienttest.Eventually(t, "the record is gone", func() bool { return ctl.Stats().Open == 0 })
	if s := ctl.Stats(); s.Exchanges != 2 || s.Untracked != 0 || len(s.Impaired) != 0 {
		t.Errorf("the statistics are %+v", s)
	}
}

// With BaseContext replaced too, nothing can be put right; it must not leak.
func TestReplacedHooksAreSaidOnceAndCounted(t *testing.T) {
	var log lines
	ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	srv := servertest.NewHTTP(servertest.Hello)
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	srv.BaseContext, srv.ConnState = nil, nil
	l := servertest.Listen(t)
	servertest.Serve(t, srv, stdlib.Listener(l, ctl), servertest.Cleartext)
	for range 3 {
		c := clienttest.Dial(t, l.Addr().String())
		get(t, c, "/")
		c.Close()
	}
	clienttest.Eventually(t, "no record is left", func() bool { return ctl.Stats().Open == 0 })
	if s := ctl.Stats(); len(s.Impaired) != 1 {
		t.Errorf("impaired: %v", s.Impaired)
	}
	log.expectOne(t, "ConnState was replaced")
}

func TestTheStepsOfADrainAreLines(t *testing.T) {
	var log lines
	ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	called := make(chan string, 2)
	s := servertest.New(t, ctl, servertest.NewHTTP(servertest.Hello)).Start(
		stdlib.OnListening(func(a net.Addr) { called <- a.String() }),
		stdlib.OnDrain(func() { called <- "drain" }),
		stdlib.Signals(os.Interrupt), stdlib.LameDuck(time.Millisecond))
	if address := clienttest.Receive(t, "OnListening", called); address != s.Address {
		t.Errorf("OnListening was told %s, want %s", address, s.Address)
	}
	c := clienttest.Dial(t, s.Address)
	get(t, c, "/")
	s.AreIdle(1)
	s.Drain()
	clienttest.Eventually(t, "the second line, which counts the connections", func() bool { return log.has("the listener is closed") })
	c.ExpectClosed(get(t, c, "/"))
	c.Close()
	s.MustEnd()
	if what := clienttest.Receive(t, "OnDrain", called); what != "drain" {
		t.Errorf("called %q", what)
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	said := strings.Split(strings.TrimSpace(log.text.String()), "\n")
	for i, want := range [][]string{
		{"the drain begins", `cause="its context is done"`, "connections=1", " until=", "listening_until=", `again="to force"`},
		{"the listener is closed", "connections=1", " until=", "idle_until="},
		{"the drain is over", "announced=1", "served=1"},
	} {
		if i >= len(said) || slices.ContainsFunc(want, func(part string) bool { return !strings.Contains(said[i], part) }) {
			t.Errorf("line %d lacks one of %q:\n%s", i+1, want, log.text.String())
		}
	}
	if len(said) != 3 {
		t.Errorf("%d lines", len(said))
	}
}
