package stdlib_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
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

// counting is a handler that counts what it has served.
type counting struct{ served atomic.Int64 }

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.served.Add(1)
	servertest.Hello(w, r)
}

// program is a server that the program serves itself.
type program struct {
	srv    *http.Server
	url    string
	served chan error // what the program's own call has returned
}

// programs are the ways to serve, and what they have in common.
var programs = []struct {
	name  string
	http2 bool
	start func(*testing.T, *core.Controller, http.Handler) program
}{
	{"ListenAndServe", false, func(t *testing.T, ctl *core.Controller, h http.Handler) program {
		return startProgram(t, ctl, h, "http", func(srv *http.Server) error { return srv.ListenAndServe() })
	}},
	{"ListenAndServeTLS", false, startTLS},
	{"ListenAndServeTLS, HTTP/2", true, startTLS},
	{"Serve, with Listener by hand", false, func(t *testing.T, ctl *core.Controller, h http.Handler) program {
		return startProgram(t, ctl, h, "http", func(srv *http.Server) error {
			l, err := net.Listen("tcp", srv.Addr)
			if err != nil {
				return err
			}
			return srv.Serve(stdlib.Listener(l, ctl))
		})
	}},
	{"httptest", false, func(t *testing.T, ctl *core.Controller, h http.Handler) program {
		return startHTTPTest(t, ctl, h, false)
	}},
	{"httptest, HTTP/2", true, func(t *testing.T, ctl *core.Controller, h http.Handler) program {
		return startHTTPTest(t, ctl, h, true)
	}},
}

func startProgram(t *testing.T, ctl *core.Controller, h http.Handler, scheme string, serve func(*http.Server) error) program {
	t.Helper()
	address := servertest.FreeAddress(t)
	srv := servertest.NewHTTP(h)
	srv.Addr = address
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	p := program{srv: srv, url: scheme + "://" + address, served: make(chan error, 1)}
	go func() { p.served <- serve(srv) }()
	clienttest.Eventually(t, "the server listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return p
}

func startTLS(t *testing.T, ctl *core.Controller, h http.Handler) program {
	cert, key := certificateFiles(t)
	return startProgram(t, ctl, h, "https", func(srv *http.Server) error { return srv.ListenAndServeTLS(cert, key) })
}

func startHTTPTest(t *testing.T, ctl *core.Controller, h http.Handler, http2 bool) program {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = servertest.NewHTTP(nil).ErrorLog
	s.EnableHTTP2 = http2
	if err := stdlib.Track(s.Config, ctl); err != nil {
		t.Fatal(err)
	}
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return program{srv: s.Config, url: s.URL}
}

func TestShutdownLosesNoRequestOfAServerThatTheProgramServes(t *testing.T) {
	restarts := 2
	if full {
		restarts = 30
	}
	for _, way := range programs {
		t.Run(way.name, func(t *testing.T) {
			for range restarts {
				ctl, handler := servertest.NewController(t), new(counting)
				p := way.start(t, ctl, handler)
				traffic := servertest.NewTraffic(p.url, 64, way.http2)
				ctx, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
				report, err := stdlib.Shutdown(ctx, p.srv, ctl)
				cancel()
				if err != nil || report.Announced == 0 || report.Forced != 0 {
					t.Errorf("Shutdown: %v, %v", report, err)
				}
				traffic.ExpectNoneLost(t, handler.served.Load())
				if s := ctl.Stats(); s.Open != 0 || s.InFlight != 0 {
					t.Errorf("left: %+v", s)
				}
				if p.served == nil {
					continue
				}
				if err := clienttest.Receive(t, "the end of the program's own call", p.served); err != http.ErrServerClosed {
					t.Errorf("the program's own call: %v", err)
				}
			}
		})
	}
}

// A program whose last line is its own call of Serve must not end before the last
// response.
func TestTheProgramsOwnServeReturnsAfterTheLastResponse(t *testing.T) {
	ctl, handler := servertest.NewController(t), newHeld()
	p := startProgram(t, ctl, handler, "http", func(srv *http.Server) error { return srv.ListenAndServe() })
	c := handler.send(t, p.srv.Addr)
	ended := make(chan error, 1)
	go func() {
		_, err := stdlib.Shutdown(context.Background(), p.srv, ctl)
		ended <- err
	}()
	waitForClosedListener(t, p.srv.Addr)
	select {
	case err := <-p.served:
		t.Errorf("the program's own call has returned %v before the response", err)
	case err := <-ended:
		t.Errorf("Shutdown has returned %v before the response", err)
	case <-time.After(50 * time.Millisecond): // it would be at once
	}
	close(handler.release)
	c.ExpectClosed(c.Receive())
	c.Close()
	if err := clienttest.Receive(t, "the program's own call", p.served); err != http.ErrServerClosed {
		t.Errorf("the program's own call: %v", err)
	}
	if err := clienttest.Receive(t, "Shutdown", ended); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

// breaking is a listener whose Accept fails when fail says so.
type breaking struct {
	net.Listener
	fail func() error
}

func (l *breaking) Accept() (net.Conn, error) {
	if failure := l.fail(); failure != nil {
		return nil, failure
	}
	c, err := l.Listener.Accept()
	if failure := l.fail(); failure != nil {
		if err == nil {
			c.Close()
		}
		return nil, failure
	}
	return c, err
}

// errWrappedTemporary is an error at which net/http does not try again: it asks the
// outermost one whether it is temporary.
var errWrappedTemporary = fmt.Errorf("a test: %w", syscall.EMFILE)

func TestAnErrorOfAcceptEndsTheProgramsOwnServe(t *testing.T) {
	t.Parallel()
	noBuffers := errors.New("no buffer space for a test")
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		serve := func(t *testing.T, l net.Listener) (*core.Controller, *strings.Builder, *http.Server, *clienttest.Conn, <-chan error) {
			var log strings.Builder
			ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))))
			srv := servertest.NewHTTP(servertest.Hello)
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() {
				if over.TLS() {
					served <- srv.ServeTLS(l, "", "")
				} else {
					served <- srv.Serve(l)
				}
			}()
			c := over.Dial(t, l.Addr().String())
			c.ExpectKept(get(t, c, "/"))
			return ctl, &log, srv, c, served
		}
		drains := func(t *testing.T, ctl *core.Controller, srv *http.Server, c *clienttest.Conn) {
			ended := make(chan error, 1)
			go func() {
				_, err := stdlib.Shutdown(t.Context(), srv, ctl)
				ended <- err
			}()
			clienttest.Eventually(t, "draining", ctl.Draining)
			c.ExpectClosed(get(t, c, "/"))
			c.Close()
			if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
				t.Error(err)
			}
		}
		for name, failure := range map[string]error{
			"that comes again":                noBuffers,
			"that has a temporary one within": errWrappedTemporary,
		} {
			t.Run(name, func(t *testing.T) {
				var broken atomic.Bool
				l := &breaking{servertest.Listen(t), func() error {
					if broken.Load() {
						return failure
					}
					return nil
				}}
				ctl, _, srv, c, served := serve(t, l)
				broken.Store(true)
				clienttest.Dial(t, l.Addr().String())
				if err := clienttest.Receive(t, "the end of Serve", served); err != failure {
					t.Errorf("Serve: %v", err)
				}
				drains(t, ctl, srv, c)
			})
		}
		t.Run("that does not come again", func(t *testing.T) {
			failures := make(chan error, 1)
			l := &breaking{servertest.Listen(t), func() error {
				select {
				case failure := <-failures:
					return failure
				default:
					return nil
				}
			}}
			ctl, log, srv, c, served := serve(t, l)
			failures <- noBuffers
			clienttest.Dial(t, l.Addr().String())
			if err := clienttest.Receive(t, "the end of Serve", served); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Serve: %v", err)
			}
			if n := strings.Count(log.String(), noBuffers.Error()); n != 1 {
				t.Errorf("the cause is said %d times:\n%s", n, log)
			}
			drains(t, ctl, srv, c)
		})
	})
}

func TestAnErrorOfAcceptEndsTheLameDuckOfAShutdown(t *testing.T) {
	noBuffers := errors.New("no buffer space for a test")
	for _, c := range []struct {
		name      string
		err, want error
	}{
		{"and is returned", noBuffers, noBuffers},
		{"also where the program has closed the listener", net.ErrClosed, nil},
		{"also where it has a temporary one within", errWrappedTemporary, errWrappedTemporary},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			srv := servertest.NewHTTP(servertest.Hello)
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
			var broken atomic.Bool
			l := &breaking{servertest.Listen(t), func() error {
				if broken.Load() {
					return c.err
				}
				return nil
			}}
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			client := clienttest.Dial(t, l.Addr().String())
			client.ExpectKept(get(t, client, "/"))
			ended := make(chan error, 1)
			go func() {
				_, err := stdlib.Shutdown(t.Context(), srv, ctl, stdlib.LameDuck(far), stdlib.DrainTimeout(2*far))
				ended <- err
			}()
			clienttest.Eventually(t, "draining", ctl.Draining)
			broken.Store(true)
			clienttest.Dial(t, l.Addr().String())
			client.ExpectClosed(get(t, client, "/"))
			client.Close()
			if err := clienttest.Receive(t, "the end of Shutdown", ended); err != c.want {
				t.Errorf("Shutdown: %v, want %v", err, c.want)
			}
			if err := clienttest.Receive(t, "the end of Serve", served); err != http.ErrServerClosed {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestShutdownOfAServerThatHasEndedWaitsForItsConnectionsAlone(t *testing.T) {
	noBuffers := errors.New("no buffer space for a test")
	for name, listen := range map[string]func(net.Listener, *core.Controller) net.Listener{
		"with Listener by hand": stdlib.Listener,
		"without":               func(l net.Listener, _ *core.Controller) net.Listener { return l },
	} {
		for ending, end := range map[string]func(t *testing.T, srv *http.Server, l net.Listener, broken *atomic.Bool){
			"by Close":          func(_ *testing.T, srv *http.Server, _ net.Listener, _ *atomic.Bool) { srv.Close() },
			"by its listener's": func(_ *testing.T, _ *http.Server, l net.Listener, _ *atomic.Bool) { l.Close() },
			"by a plain Shutdown": func(_ *testing.T, srv *http.Server, _ net.Listener, _ *atomic.Bool) {
				srv.Shutdown(context.Background())
			},
			"by an error of Accept": func(t *testing.T, _ *http.Server, l net.Listener, broken *atomic.Bool) {
				broken.Store(true)
				clienttest.Dial(t, l.Addr().String()).Close()
			},
		} {
			t.Run(name+", "+ending, func(t *testing.T) {
				ctl := servertest.NewController(t)
				srv := servertest.NewHTTP(servertest.Hello)
				if err := stdlib.Track(srv, ctl); err != nil {
					t.Fatal(err)
				}
				var broken atomic.Bool
				l := listen(&breaking{servertest.Listen(t), func() error {
					if broken.Load() {
						return noBuffers
					}
					return nil
				}}, ctl)
				served := make(chan error, 1)
				go func() { served <- srv.Serve(l) }()
				client := clienttest.Dial(t, l.Addr().String())
				client.ExpectKept(get(t, client, "/"))
				end(t, srv, l, &broken)
				clienttest.Receive(t, "the end of the program's own Serve", served)
				ended := make(chan error, 1)
				go func() {
					_, err := stdlib.Shutdown(context.Background(), srv, ctl, stdlib.DrainTimeout(far), stdlib.IdleGrace(0))
					ended <- err
				}()
				clienttest.Eventually(t, "draining", ctl.Draining)
				if strings.Contains(ending, "Close") || strings.Contains(ending, "Shutdown") {
					client.ExpectGone()
				} else {
					client.ExpectClosed(get(t, client, "/"))
				}
				client.Close()
				if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
					t.Errorf("Shutdown: %v", err)
				}
			})
		}
	}
}

func TestACloseDuringAShutdownEndsIt(t *testing.T) {
	for name, listen := range map[string]func(net.Listener, *core.Controller) net.Listener{
		"with Listener by hand": stdlib.Listener,
		"without":               func(l net.Listener, _ *core.Controller) net.Listener { return l },
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			srv := servertest.NewHTTP(servertest.Hello)
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
			l := listen(servertest.Listen(t), ctl)
			served := make(chan error, 1)
			go func() { served <- srv.Serve(l) }()
			client := clienttest.Dial(t, l.Addr().String())
			client.ExpectKept(get(t, client, "/"))
			ended := make(chan error, 1)
			go func() {
				_, err := stdlib.Shutdown(context.Background(), srv, ctl, stdlib.LameDuck(far), stdlib.DrainTimeout(2*far))
				ended <- err
			}()
			clienttest.Eventually(t, "draining", ctl.Draining)
			srv.Close()
			client.ExpectGone()
			client.Close()
			if err := clienttest.Receive(t, "the end of Serve", served); err != http.ErrServerClosed {
				t.Errorf("Serve: %v", err)
			}
			if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

func TestAGroupOfTwoServersShutsDownTogether(t *testing.T) {
	ctl, handler := servertest.NewController(t), new(counting)
	first := startProgram(t, ctl, handler, "http", func(srv *http.Server) error { return srv.ListenAndServe() })
	second := startTLS(t, ctl, handler)
	both := []program{first, second}
	traffic := []*servertest.Traffic{servertest.NewTraffic(first.url, 16, false), servertest.NewTraffic(second.url, 16, true)}
	var group sync.WaitGroup
	for _, p := range both {
		group.Go(func() {
			if _, err := stdlib.Shutdown(context.Background(), p.srv, ctl); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
	group.Wait()
	for _, p := range both {
		if err := clienttest.Receive(t, "the program's own call", p.served); err != http.ErrServerClosed {
			t.Errorf("the program's own call: %v", err)
		}
	}
	answered := int64(0)
	for _, tr := range traffic {
		tr.ExpectEnd(t)
		answered += tr.Answered.Load()
	}
	if served := handler.served.Load(); answered != served {
		t.Errorf("%d requests were served and %d answered", served, answered)
	}
}

func TestCallsOfShutdownAtOnceHaveOneDrain(t *testing.T) {
	ctl, handler := servertest.NewController(t), newHeld()
	p := startProgram(t, ctl, handler, "http", func(srv *http.Server) error { return srv.ListenAndServe() })
	c := handler.send(t, p.srv.Addr)
	ran := make(chan struct{}, 4)
	p.srv.RegisterOnShutdown(func() { ran <- struct{}{} })
	type result struct {
		report stdlib.Report
		err    error
	}
	results := make(chan result, 3)
	shutDown := func() {
		report, err := stdlib.Shutdown(context.Background(), p.srv, ctl)
		results <- result{report, err}
	}
	go shutDown()
	go shutDown()
	waitForClosedListener(t, p.srv.Addr)
	// One whose context is done goes, and cuts nothing.
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := stdlib.Shutdown(impatient, p.srv, ctl); !errors.Is(err, context.Canceled) || !errors.Is(err, stdlib.ErrDrainTimeout) {
		t.Errorf("Shutdown: %v", err)
	}
	close(handler.release)
	c.ExpectClosed(c.Receive())
	c.Close()
	one, other := clienttest.Receive(t, "Shutdown", results), clienttest.Receive(t, "Shutdown", results)
	shutDown() // a later one
	for _, r := range []result{one, other, <-results} {
		if r.err != nil || r.report.Announced != 1 || r.report.Duration != one.report.Duration {
			t.Errorf("Shutdown: %+v, %v", r.report, r.err)
		}
	}
	expectOne(t, ran)
}

func TestShutdownsErrorHasTheContextsInIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ctx  func() (context.Context, context.CancelFunc)
		want []error
		not  error
	}{
		"its deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 100*time.Millisecond)
		}, []error{stdlib.ErrDrainTimeout, context.DeadlineExceeded}, stdlib.ErrForced},
		"its cancellation": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, cancel
		}, []error{stdlib.ErrDrainTimeout, stdlib.ErrForced, context.Canceled}, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			ctl, handler := servertest.NewController(t), newHeld()
			p := startProgram(t, ctl, handler, "http", func(srv *http.Server) error { return srv.ListenAndServe() })
			handler.send(t, p.srv.Addr)
			ctx, cancel := test.ctx()
			defer cancel()
			report, err := stdlib.Shutdown(ctx, p.srv, ctl)
			for _, want := range test.want {
				if !errors.Is(err, want) {
					t.Errorf("Shutdown: %v, want %v", err, want)
				}
			}
			if errors.Is(err, test.not) || report.Forced != 1 || len(report.Cut) != 1 || report.Cut[0].Route != "GET /" {
				t.Errorf("Shutdown: %+v, %v", report, err)
			}
			if err := clienttest.Receive(t, "the program's own call", p.served); err != http.ErrServerClosed {
				t.Errorf("the program's own call: %v", err)
			}
			close(handler.release)
		})
	}
}

func TestShutdownRefusesWhatIsForTheOwnerOfAListener(t *testing.T) {
	ctl, srv := servertest.NewController(t), servertest.NewHTTP(nil)
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	for name, opt := range map[string]stdlib.ServeOption{
		"On": stdlib.On(servertest.Listen(t)), "TLS": stdlib.TLS("", ""), "OnListening": stdlib.OnListening(func(net.Addr) {}),
		"AdvertiseKeepAlive": stdlib.AdvertiseKeepAlive(time.Second),
	} {
		if _, err := stdlib.Shutdown(context.Background(), srv, ctl, opt); err == nil || !errorNames(err, name, "owner") || ctl.Draining() {
			t.Errorf("%s: %v", name, err)
		}
	}
	short, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := stdlib.Shutdown(short, srv, ctl, stdlib.LameDuck(time.Hour)); err == nil || !errorNames(err, "LameDuck", "1h0m0s", "deadline") {
		t.Errorf("a lame duck that does not fit: %v", err)
	}
}

func TestAnUntrackedServerIsShutDownPlainlyAndThatIsAnError(t *testing.T) {
	ctl, l := servertest.NewController(t), servertest.Listen(t)
	srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	c := clienttest.Dial(t, l.Addr().String())
	get(t, c, "/")
	if _, err := stdlib.Shutdown(context.Background(), srv, ctl); err == nil || !errorNames(err, "not tracked", "stdlib.Track") || !ctl.Draining() {
		t.Errorf("Shutdown: %v; draining: %v", err, ctl.Draining())
	}
	c.ExpectEnd()
	if err := clienttest.Receive(t, "the end of Serve", served); err != http.ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
}

// A Serve of a server that is shut down as a whole ends as well.
func TestShutdownEndsTheServesOfItsServerToo(t *testing.T) {
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP(servertest.Hello)
	s := servertest.New(t, ctl, srv).Start(stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	one := clienttest.Dial(t, s.Address)
	get(t, one, "/") // the server is tracked now
	own := servertest.Listen(t)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(own) }()
	two := clienttest.Dial(t, own.Addr().String())
	get(t, two, "/")
	ended := make(chan error, 1)
	go func() {
		report, err := stdlib.Shutdown(context.Background(), srv, ctl, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
		if report.Announced != 1 {
			t.Errorf("Shutdown: %v", report)
		}
		ended <- err
	}()
	clienttest.Eventually(t, "draining", ctl.Draining)
	for _, c := range []*clienttest.Conn{one, two} {
		c.ExpectClosed(get(t, c, "/"))
		c.Close()
	}
	if report := s.MustEnd(); report.Announced != 1 {
		t.Errorf("Serve: %v", report)
	}
	if err := clienttest.Receive(t, "Shutdown", ended); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := clienttest.Receive(t, "the program's own Serve", served); err != http.ErrServerClosed {
		t.Errorf("the program's own Serve: %v", err)
	}
}

// errorNames reports whether all of these are in the error's text.
func errorNames(err error, all ...string) bool {
	for _, want := range all {
		if !strings.Contains(err.Error(), want) {
			return false
		}
	}
	return true
}
