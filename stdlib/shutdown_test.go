package stdlib_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// held is a handler that says when it has begun, and answers when it is released.
type held struct{ entered, release chan struct{} }

func newHeld() held { return held{make(chan struct{}), make(chan struct{})} }

func (h held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.entered <- struct{}{}
	<-h.release
	servertest.Hello(w, r)
}

// send sends a request and returns when the handler has it.
func (h held) send(t *testing.T, address string) *clienttest.Conn {
	t.Helper()
	c := clienttest.Dial(t, address)
	c.Send(clienttest.Request("GET", "/"))
	clienttest.Receive(t, "the request", h.entered)
	return c
}

func TestRegisterOnShutdownHooksRunOnceThoughTwoShutTheServerDown(t *testing.T) {
	t.Run("two Serves of one server", func(t *testing.T) {
		ctl := servertest.NewController(t)
		srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
		ran := make(chan struct{}, 2)
		srv.RegisterOnShutdown(func() { ran <- struct{}{} })
		first := servertest.New(t, ctl, srv).Start(stdlib.DrainTimeout(far))
		second := servertest.New(t, ctl, srv).Start(stdlib.DrainTimeout(far))
		c := clienttest.Dial(t, second.Address)
		get(t, c, "/")
		first.Drain()
		second.Drain()
		first.ListenerIsClosed()
		second.ListenerIsClosed()
		c.ExpectClosed(get(t, c, "/"))
		c.Close()
		first.MustEnd()
		second.MustEnd()
		expectOne(t, ran)
	})
	t.Run("the user and Serve", func(t *testing.T) {
		ctl, handler := servertest.NewController(t), newHeld()
		srv := servertest.NewHTTP(stdlib.Middleware(ctl)(handler))
		if err := stdlib.Track(srv, ctl); err != nil {
			t.Fatal(err)
		}
		ran := make(chan struct{}, 2)
		srv.RegisterOnShutdown(func() { ran <- struct{}{} })
		s := servertest.New(t, ctl, srv).Start(stdlib.DrainTimeout(far))
		c := handler.send(t, s.Address)
		s.Drain()
		s.ListenerIsClosed()
		ended := make(chan error, 1)
		go func() { ended <- srv.Shutdown(context.Background()) }()
		clienttest.Receive(t, "the hook", ran)
		// Track's own hook has its goroutine by now, because it came first.
		clienttest.ExpectNoGoroutine(t, "politeclose/stdlib.(*tracker).onShutdown")
		close(handler.release)
		c.ExpectClosed(c.Receive())
		c.Close()
		if report, err := s.Wait(); err != http.ErrServerClosed || report.Announced != 1 || report.Served != 1 {
			t.Errorf("Serve: %v, %v", report, err)
		}
		if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if len(ran) > 0 {
			t.Error("the hook ran twice")
		}
	})
}

func expectOne(t *testing.T, ran <-chan struct{}) {
	t.Helper()
	clienttest.Receive(t, "the hook", ran)
	select {
	case <-ran:
		t.Error("the hook ran twice")
	case <-time.After(50 * time.Millisecond): // it runs on a goroutine of its own
	}
}

func TestTheUsersShutdownTellsStreams(t *testing.T) {
	for _, late := range []bool{false, true} {
		ask := make(chan struct{})
		entered := make(chan struct{})
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			leaving := core.Leaving(r.Context())
			w.(http.Flusher).Flush()
			close(entered)
			if late {
				<-ask
				leaving = core.Leaving(r.Context())
			}
			<-leaving
		}), stdlib.DrainTimeout(far))
		clienttest.Dial(t, s.Address).Send(clienttest.Request("GET", "/"))
		clienttest.Receive(t, "the stream", entered)
		ended := make(chan error, 1)
		go func() { ended <- s.HTTP.Shutdown(context.Background()) }()
		s.ListenerIsClosed()
		close(ask)
		if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.Wait()
	}
}

// Track without stdlib.Shutdown is half of it: the requests are lost as ever.
func TestAPlainShutdownOfATrackedServerIsSaidOnceAndCounted(t *testing.T) {
	plain := func(srv *http.Server, _ *core.Controller) error { return srv.Shutdown(context.Background()) }
	ours := func(srv *http.Server, ctl *core.Controller) error {
		_, err := stdlib.Shutdown(context.Background(), srv, ctl)
		return err
	}
	for name, test := range map[string]struct {
		ends []func(*http.Server, *core.Controller) error
		want string // in the log
	}{
		"alone":                  {[]func(*http.Server, *core.Controller) error{plain, plain}, "call stdlib.Shutdown in its place"},
		"behind stdlib.Shutdown": {[]func(*http.Server, *core.Controller) error{ours, plain}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var log lines
			ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
			srv := servertest.NewHTTP(servertest.Hello)
			ran := make(chan struct{}, 2)
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
			srv.RegisterOnShutdown(func() { ran <- struct{}{} })
			l := servertest.Listen(t)
			servertest.Serve(t, srv, l, servertest.Cleartext)
			c := clienttest.Dial(t, l.Addr().String())
			get(t, c, "/")
			c.Close()
			for _, end := range test.ends {
				if err := end(srv, ctl); err != nil {
					t.Error(err)
				}
				clienttest.Receive(t, "the hook", ran)
			}
			// Track's own hook has its goroutine by now, because it came first.
			clienttest.ExpectNoGoroutine(t, "politeclose/stdlib.(*tracker).onShutdown")
			if test.want == "" {
				if s := ctl.Stats(); len(s.Impaired) != 0 || log.text.Len() != 0 {
					t.Errorf("impaired: %v, and said %s", s.Impaired, log.text.String())
				}
				return
			}
			log.expectOne(t, test.want)
			if s := ctl.Stats(); len(s.Impaired) != 1 {
				t.Errorf("impaired: %v", s.Impaired)
			}
		})
	}
}

func TestTheUsersShutdownAnnouncesOnHTTP2AndIsReported(t *testing.T) {
	s := serve(t, servertest.NewController(t), servertest.Hello, append(servertest.OverTLS.Opts, stdlib.DrainTimeout(far))...)
	c := clienttest.DialHTTP2(t, s.Address)
	c.Get("/")
	ended := make(chan error, 1)
	go func() { ended <- s.HTTP.Shutdown(context.Background()) }()
	c.ExpectEnd()
	c.Close()
	if report, err := s.Wait(); report.Announced != 1 || !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("Serve: %v, %v; the client was told %v", report, err, c.LastStreams)
	}
	if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestTheUsersShutdownInTheLameDuckDoesNotBeginTheTimeoutAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := newHeld()
		p := newPipes()
		ctl := servertest.NewController(t)
		s := servertest.NewOn(t, p, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(handler))).Start(stdlib.LameDuck(14*time.Second), stdlib.DrainTimeout(15*time.Second))
		c := p.dial()
		defer c.Close()
		io.WriteString(c, clienttest.Request("GET", "/"))
		<-handler.entered
		began := time.Now()
		s.Drain()
		time.Sleep(12 * time.Second)
		s.HTTP.Close()
		<-s.Done
		close(handler.release)
		if took := time.Since(began); took != 15*time.Second || s.Err != http.ErrServerClosed {
			t.Errorf("Serve: %v after %v, want the DrainTimeout", s.Err, took)
		}
	})
}

// pipesOverTLS is a listener of a user's own type of TLS connections.
type pipesOverTLS struct{ *pipes }

type ownTLS struct{ *tls.Conn }

func (l pipesOverTLS) Accept() (net.Conn, error) {
	c, err := l.pipes.Accept()
	if err != nil {
		return nil, err
	}
	return ownTLS{tls.Server(c, &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}})}, nil
}

// A TLS connection says goodbye for up to 5 s to a client that does not read.
func TestTLSClientsThatDoNotReadDoNotHoldUpTheEnd(t *testing.T) {
	for _, c := range []struct {
		name     string
		listener func(*pipes) net.Listener
		opts     []stdlib.ServeOption
		forced   bool
		want     error
	}{
		{"at the timeout, on a listener of the user's", func(p *pipes) net.Listener { return pipesOverTLS{p} }, nil, false, stdlib.ErrDrainTimeout},
		{"forced after the user's Shutdown", func(p *pipes) net.Listener { return p }, servertest.OverTLS.Opts, true, http.ErrServerClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const clients, limit = 3, time.Second
				p, handler, ctl := newPipes(), newHeld(), servertest.NewController(t)
				force, end := context.WithCancel(context.Background())
				defer end()
				opts := append([]stdlib.ServeOption{stdlib.DrainTimeout(limit)}, c.opts...)
				if c.forced {
					opts = append(opts, stdlib.ForceContext(force), stdlib.DrainTimeout(time.Hour))
				}
				s := servertest.NewOn(t, c.listener(p), ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(handler))).Start(opts...)
				for range clients {
					client := tls.Client(p.dial(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
					defer client.NetConn().Close()
					io.WriteString(client, clienttest.Request("GET", "/"))
					<-handler.entered
				}
				var shutdown sync.WaitGroup
				began := time.Now()
				if c.forced {
					shutdown.Go(func() { s.HTTP.Shutdown(context.Background()) })
					synctest.Wait()
					end()
				} else {
					s.Drain()
				}
				<-s.Done
				if took := time.Since(began); took > limit || !errors.Is(s.Err, c.want) || s.Report.Forced != clients {
					t.Errorf("Serve: %v, %v after %v", s.Report, s.Err, took)
				}
				close(handler.release)
				shutdown.Wait()
			})
		})
	}
}

func TestARequestOnAConnectionThatCannotBeLookedUpIsWaitedFor(t *testing.T) {
	for _, patience := range []time.Duration{far, 50 * time.Millisecond} {
		ctl, handler := servertest.NewController(t), newHeld()
		l := servertest.Listen(t)
		s := servertest.NewOn(t, valueListener{l}, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(handler))).Start(stdlib.DrainTimeout(patience))
		s.Listener = l
		c := handler.send(t, s.Address)
		s.Drain()
		s.ListenerIsClosed()
		if patience == far {
			close(handler.release)
			c.ExpectClosed(c.Receive())
			s.MustEnd()
			continue
		}
		if _, err := s.Wait(); !errors.Is(err, stdlib.ErrDrainTimeout) {
			t.Errorf("Serve: %v", err)
		}
		close(handler.release)
	}
}

func TestAReportIsOfItsOwnDrain(t *testing.T) {
	t.Run("not of one that was taken back", func(t *testing.T) {
		ctl := servertest.NewController(t, core.DrainSpread(time.Hour))
		s := serve(t, ctl, servertest.Hello, stdlib.DrainTimeout(2*time.Hour), stdlib.IdleGrace(50*time.Millisecond))
		c := clienttest.Dial(t, s.Address)
		get(t, c, "/")
		ctl.Drain()
		get(t, c, "/")
		ctl.Resume()
		get(t, c, "/")
		s.AreIdle(1)
		s.Drain()
		if report := s.MustEnd(); report.Served != 0 {
			t.Errorf("no request came in the drain, and its report is: %v", report)
		}
	})
	t.Run("but of one that a Drain had begun", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, servertest.Hello, stdlib.DrainTimeout(far))
		c := clienttest.Dial(t, s.Address)
		ctl.Drain()
		response := get(t, c, "/")
		c.Send(clienttest.Request("GET", "/"))
		c.ExpectClosed(response)
		c.Close()
		s.ExpectStats("the input is counted", func(s core.Stats) bool { return s.InputAfterAnnounce == 1 && s.Open == 0 })
		s.Drain()
		if report := s.MustEnd(); report.Announced != 1 || report.InputAfterAnnounce != 1 {
			t.Errorf("the report is: %v", report)
		}
	})
}

func TestADrainIsInTimeThoughClientsHaveNotClosedBehindTheirLastResponse(t *testing.T) {
	t.Parallel()
	ctl := servertest.NewController(t)
	s := serve(t, ctl, servertest.Hello, stdlib.DrainTimeout(500*time.Millisecond))
	c := clienttest.Dial(t, s.Address)
	get(t, c, "/")
	ctl.Drain()
	c.ExpectClosed(get(t, c, "/")) // and its own side stays open
	s.Drain()
	if report := s.MustEnd(); report.Announced != 1 || report.Forced != 0 {
		t.Errorf("the report is: %v", report)
	}
}

func TestAnIdleHTTP2ConnectionThatIsCutHadNoRequestUnderWay(t *testing.T) {
	s := serve(t, servertest.NewController(t), servertest.Hello, append(servertest.OverTLS.Opts, stdlib.DrainTimeout(far))...)
	c := clienttest.DialHTTP2(t, s.Address)
	c.Get("/")
	s.AreIdle(1)
	s.Drain() // which it does not acknowledge
	s.ExpectStats("it is told", func(s core.Stats) bool { return s.Closes[core.ReasonDrain] == 1 })
	s.Force()
	if report, err := s.Wait(); report.Forced != 0 || report.Announced != 1 || !errors.Is(err, stdlib.ErrDrainTimeout) {
		t.Errorf("Serve: %v, %v", report, err)
	}
}

// telling is a listener whose Close says whether the flag is up.
type telling struct {
	net.Listener
	ctl *core.Controller
	up  chan bool
}

func (l *telling) Close() error {
	select {
	case l.up <- l.ctl.Draining():
	default: // net/http closes it once more
	}
	return l.Listener.Close()
}

// Who finds nobody listening any more is told by the next response.
func TestTheFlagIsUpWhenTheListenerIsClosed(t *testing.T) {
	for name, opts := range map[string][]stdlib.ServeOption{
		"without a lame duck": nil,
		"with one":            {stdlib.LameDuck(1)},
	} {
		for way, drain := range map[string]func(*testing.T, *telling, *http.Server) error{
			"Serve": func(t *testing.T, l *telling, srv *http.Server) error {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_, err := stdlib.Serve(ctx, srv, l.ctl, append(opts, stdlib.On(l))...)
				return err
			},
			"Shutdown": func(t *testing.T, l *telling, srv *http.Server) error {
				if err := stdlib.Track(srv, l.ctl); err != nil {
					return err
				}
				go srv.Serve(l)
				client := clienttest.Dial(t, l.Addr().String())
				client.ExpectKept(get(t, client, "/"))
				client.Close()
				_, err := stdlib.Shutdown(t.Context(), srv, l.ctl, opts...)
				return err
			},
		} {
			t.Run(way+", "+name, func(t *testing.T) {
				l := &telling{servertest.Listen(t), servertest.NewController(t), make(chan bool, 1)}
				if err := drain(t, l, servertest.NewHTTP(servertest.Hello)); err != nil {
					t.Error(err)
				}
				if !clienttest.Receive(t, "the listener's Close", l.up) {
					t.Error("it was closed before")
				}
			})
		}
	}
}
