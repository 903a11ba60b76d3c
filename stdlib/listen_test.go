package stdlib_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestOptionsForDifferentListenersAreAnErrorThatSaysWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		name string
		opts func(net.Listener) []stdlib.ServeOption
		want []string
	}{
		{"a port to share and a listener", func(l net.Listener) []stdlib.ServeOption {
			return []stdlib.ServeOption{stdlib.ReusePort(), stdlib.On(l)}
		}, []string{"ReusePort", "not allowed with On"}},
		{"an unshared listener of Serve's own", func(net.Listener) []stdlib.ServeOption {
			return []stdlib.ServeOption{stdlib.Unshared()}
		}, []string{"Unshared", "only allowed with On"}},
		{"an unshared listener of an own type", func(l net.Listener) []stdlib.ServeOption {
			return []stdlib.ServeOption{stdlib.Unshared(), stdlib.On(struct{ net.Listener }{l})}
		}, []string{"Unshared", "struct", "*net.TCPListener"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := stdlib.Serve(t.Context(), &http.Server{}, servertest.NewController(t), c.opts(servertest.Listen(t))...)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error %q lacks %q", err, want)
				}
			}
		})
	}
	for name, option := range map[string]stdlib.ServeOption{"ReusePort": stdlib.ReusePort(), "Unshared": stdlib.Unshared()} {
		_, err := stdlib.Shutdown(t.Context(), &http.Server{}, servertest.NewController(t), option)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Shutdown with %s: the error %v does not name it", name, err)
		}
	}
}

func TestAPortThatAnotherSocketDoesNotShareIsAnErrorThatSaysSo(t *testing.T) {
	taken := servertest.Listen(t).Addr().String()
	_, err := stdlib.Serve(t.Context(), &http.Server{Addr: taken}, servertest.NewController(t), stdlib.ReusePort())
	if err == nil {
		t.Fatal("there is no error")
	}
	want := []string{"ReusePort", taken}
	if runtime.GOOS == "linux" {
		want = append(want, "bound without SO_REUSEPORT")
	}
	for _, want := range want {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q lacks %q", err, want)
		}
	}
}

// listening are the ways to a listener that Serve empties.
var listening = []struct {
	name string
	opts func(*testing.T) []stdlib.ServeOption
}{
	{"its own listener", func(*testing.T) []stdlib.ServeOption { return nil }},
	{"its own listener beside others", func(*testing.T) []stdlib.ServeOption {
		return []stdlib.ServeOption{stdlib.ReusePort()}
	}},
	{"an unshared one", func(t *testing.T) []stdlib.ServeOption {
		return []stdlib.ServeOption{stdlib.On(listenWithoutMPTCP(t)), stdlib.Unshared()}
	}},
}

func listenWithoutMPTCP(t *testing.T) net.Listener {
	t.Helper()
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestWhoWaitsToBeAcceptedWhenADrainBeginsIsServedAndAnnounced(t *testing.T) {
	for _, way := range listening {
		t.Run(way.name, func(t *testing.T) {
			var log bytes.Buffer
			ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))))
			srv := servertest.NewHTTP(servertest.Hello)
			srv.Addr = "127.0.0.1:0"
			accepting, blocked := make(chan struct{}), make(chan struct{}, 1)
			srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
				select { // on the goroutine that accepts
				case blocked <- struct{}{}:
				default:
				}
				<-accepting
				if keepsPacketsOff(t, c.(syscall.Conn)) {
					t.Error("an accepted socket drops packets like the listening one")
				}
				return ctx
			}
			address := make(chan net.Addr, 1)
			drained, drain := context.WithCancel(t.Context())
			var report stdlib.Report
			served := make(chan error, 1)
			go func() {
				opts := append(way.opts(t), stdlib.OnListening(func(a net.Addr) { address <- a }))
				var err error
				report, err = stdlib.Serve(drained, srv, ctl, opts...)
				served <- err
			}()
			to := clienttest.Receive(t, "listening", address).String()
			clients := []*clienttest.Conn{clienttest.Dial(t, to)}
			clienttest.Receive(t, "one is accepted", blocked)
			const waiting = 5
			for range waiting {
				clients = append(clients, clienttest.Dial(t, to))
			}
			for _, c := range clients {
				c.Send(clienttest.Request("GET", "/"))
			}
			drain()
			clienttest.Eventually(t, "draining", ctl.Draining)
			awaitEmptying(t, to)
			close(accepting)
			for _, c := range clients {
				c.ExpectClosed(c.Receive())
				c.Close() // or the server waits for that
			}
			if err := clienttest.Receive(t, "the end of Serve", served); err != nil {
				t.Error(err)
			}
			if report.AcceptedLate < waiting || report.Announced != len(clients) {
				t.Errorf("%d accepted late, %d announced, want %d or more, and %d", report.AcceptedLate, report.Announced, waiting, len(clients))
			}
			if runtime.GOOS == "linux" && strings.Contains(log.String(), "may be reset") {
				t.Errorf("the log says that somebody may be lost:\n%s", &log)
			}
		})
	}
}

func TestAListenerThatOthersMayHaveKeepsNobodyOffThem(t *testing.T) {
	l := listenWithoutMPTCP(t).(*net.TCPListener)
	file, err := l.File()
	if err != nil {
		t.Skipf("a socket cannot be shared here: %v", err)
	}
	defer file.Close()
	others, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	defer others.Close()
	s := servertest.NewOn(t, l, servertest.NewController(t), servertest.NewHTTP(servertest.Hello)).Start()
	s.Drain()
	s.MustEnd()
	if keepsPacketsOff(t, others.(*net.TCPListener)) {
		t.Error("Serve has kept new connections off a socket that is not its alone")
	}
	c, err := net.Dial("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := others.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
}

func TestAListenerThatCannotBeEmptiedIsSaidOnceAndDrainedAllTheSame(t *testing.T) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/socket"})
	if err != nil {
		t.Skipf("no Unix sockets here: %v", err)
	}
	var log bytes.Buffer
	ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	ctx, drain := context.WithCancel(t.Context())
	drain()
	_, err = stdlib.Serve(ctx, servertest.NewHTTP(servertest.Hello), ctl, stdlib.On(l), stdlib.Unshared())
	if err != nil {
		t.Error(err)
	}
	if n := strings.Count(log.String(), "may be reset"); n != 1 {
		t.Errorf("the log says %d times that somebody may be reset, want 1:\n%s", n, &log)
	}
}

func TestASocketThatTheProgramHasClosedIsNotEmptied(t *testing.T) {
	for range 20 {
		l := listenWithoutMPTCP(t)
		var log bytes.Buffer
		ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		s := servertest.NewOn(t, l, ctl, servertest.NewHTTP(servertest.Hello)).Start(stdlib.Unshared())
		client := clienttest.Dial(t, s.Address)
		client.ExpectKept(get(t, client, "/"))
		l.Close()
		clienttest.Eventually(t, "draining", ctl.Draining)
		client.ExpectClosed(get(t, client, "/"))
		client.Close()
		if _, err := s.Wait(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		if strings.Contains(log.String(), "may be reset") {
			t.Errorf("of a socket that had been closed before it is said:\n%s", &log)
		}
	}
}

// exhausted is a listener whose process has no descriptor left for a connection.
type exhausted struct {
	*net.TCPListener
	now  atomic.Bool
	said sync.Once
	seen chan struct{} // closed at the first error
}

func (l *exhausted) Accept() (net.Conn, error) {
	for {
		if err := l.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return nil, err
		}
		if l.now.Load() {
			l.said.Do(func() { close(l.seen) })
			return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
		}
		if c, err := l.TCPListener.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
	}
}

func TestWithoutDescriptorsForWhoWaitsADrainGoesOn(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]stdlib.ServeOption{
		"on a listener that is emptied": {stdlib.Unshared()},
		"on one that others may have":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &exhausted{TCPListener: listenWithoutMPTCP(t).(*net.TCPListener), seen: make(chan struct{})}
			ctl := servertest.NewController(t)
			opts := append([]stdlib.ServeOption{stdlib.IdleGrace(time.Millisecond), stdlib.DrainTimeout(far)}, opts...)
			s := servertest.NewOn(t, l, ctl, servertest.NewHTTP(servertest.Hello)).Start(opts...)
			idle := clienttest.Dial(t, s.Address)
			idle.ExpectKept(get(t, idle, "/"))
			s.AreIdle(1)
			l.now.Store(true)
			clienttest.Receive(t, "out of descriptors", l.seen)
			clienttest.Dial(t, s.Address) // waits in the queue
			s.Drain()
			if report := s.MustEnd(); report.ClosedIdle != 1 {
				t.Errorf("the report is %v", report)
			}
		})
	}
}

func TestADrainWithoutConnectionsIsOverAtOnce(t *testing.T) {
	const most = 60 * time.Millisecond
	var fastest time.Duration
	for range 20 {
		ctx, drain := context.WithCancel(t.Context())
		srv := servertest.NewHTTP(servertest.Hello)
		srv.Addr = "127.0.0.1:0"
		report, err := stdlib.Serve(ctx, srv, servertest.NewController(t), stdlib.OnListening(func(net.Addr) { drain() }))
		if err != nil {
			t.Fatal(err)
		}
		if fastest = report.Duration; fastest < most {
			return // a busy machine may take longer, but not every time
		}
	}
	t.Errorf("each drain took %v or more, the last one %v", most, fastest)
}

func TestAForcedEndClosesAListenerThatCannotBeEmptied(t *testing.T) {
	t.Parallel()
	srv := servertest.NewHTTP(servertest.Hello)
	srv.Addr = "127.0.0.1:0"
	blocked, accepting := make(chan struct{}, 1), make(chan struct{})
	srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		blocked <- struct{}{}
		<-accepting
		return ctx
	}
	defer close(accepting)
	address := make(chan net.Addr, 1)
	forced, force := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		_, err := stdlib.Serve(t.Context(), srv, servertest.NewController(t), stdlib.ForceContext(forced),
			stdlib.OnListening(func(a net.Addr) { address <- a }))
		served <- err
	}()
	to := clienttest.Receive(t, "listening", address).String()
	clienttest.Dial(t, to)
	clienttest.Receive(t, "one is accepted", blocked)
	clienttest.Dial(t, to) // waits in the queue for ever
	force()
	if err := clienttest.Receive(t, "the end of Serve", served); err != nil && !errors.Is(err, stdlib.ErrForced) {
		t.Errorf("Serve returned %v", err)
	}
	clienttest.Eventually(t, "nobody can connect", func() bool {
		c, err := net.DialTimeout("tcp", to, clienttest.Patience)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}
