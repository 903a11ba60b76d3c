package stdlib_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestABadArgumentIsAnErrorThatNamesOptionValueAndWhatIsAllowed(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pem")
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	var noContext context.Context
	ctx, srv, ctl := t.Context(), &http.Server{}, servertest.NewController(t)
	spread := servertest.NewController(t, core.DrainSpread(time.Minute))
	delay := servertest.NewController(t, core.DrainDelay(5*time.Second), core.DrainSpread(6*time.Second))
	for _, c := range []struct {
		name string
		ctx  context.Context
		srv  *http.Server
		ctl  *core.Controller
		opts []stdlib.ServeOption
		want []string // in the error
	}{
		{"no context", noContext, srv, ctl, nil, []string{"context", "nil"}},
		{"no server", ctx, nil, ctl, nil, []string{"server", "nil"}},
		{"no Controller", ctx, srv, nil, nil, []string{"Controller", "nil", "core.New"}},
		{"a nil option", ctx, srv, ctl, []stdlib.ServeOption{stdlib.LameDuck(0), nil}, []string{"option 2", "nil"}},
		{"no listener", ctx, srv, ctl, []stdlib.ServeOption{stdlib.On(nil)}, []string{"On", "nil"}},
		{"no listener, of a type", ctx, srv, ctl, []stdlib.ServeOption{stdlib.On((*net.TCPListener)(nil)), stdlib.OnListening(func(net.Addr) {})}, []string{"On", "nil"}},
		{"a certificate without a key", ctx, srv, ctl, []stdlib.ServeOption{stdlib.TLS("cert.pem", "")}, []string{"TLS", `"cert.pem"`, "both"}},
		{"a key without a certificate", ctx, srv, ctl, []stdlib.ServeOption{stdlib.TLS("", "key.pem")}, []string{"TLS", `"key.pem"`, "both"}},
		{"a certificate that is not there", ctx, srv, ctl, []stdlib.ServeOption{stdlib.TLS(missing, missing)}, []string{"TLS", missing}},
		{"a certificate that is none", ctx, srv, ctl, []stdlib.ServeOption{stdlib.TLS(garbage, garbage)}, []string{"TLS", garbage}},
		{"no certificate at all", ctx, srv, ctl, []stdlib.ServeOption{stdlib.TLS("", "")}, []string{"TLS", "srv.TLSConfig"}},
		{"a TLSConfig without a certificate", ctx, &http.Server{TLSConfig: new(tls.Config)}, ctl, []stdlib.ServeOption{stdlib.TLS("", "")}, []string{"TLS", "srv.TLSConfig"}},
		{"a negative lame duck", ctx, srv, ctl, []stdlib.ServeOption{stdlib.LameDuck(-time.Second)}, []string{"LameDuck", "-1s", "0 or more"}},
		{"a lame duck as long as the timeout", ctx, srv, ctl, []stdlib.ServeOption{stdlib.LameDuck(25 * time.Second)}, []string{"LameDuck", "25s", "DrainTimeout", "less"}},
		{"a timeout of zero", ctx, srv, ctl, []stdlib.ServeOption{stdlib.DrainTimeout(0)}, []string{"DrainTimeout", "0s", "greater than 0"}},
		{"a negative timeout", ctx, srv, ctl, []stdlib.ServeOption{stdlib.DrainTimeout(-1)}, []string{"DrainTimeout", "-1ns", "greater than 0"}},
		{"a negative grace", ctx, srv, ctl, []stdlib.ServeOption{stdlib.IdleGrace(-time.Minute)}, []string{"IdleGrace", "-1m0s", "or more"}},
		{"a nil signal", ctx, srv, ctl, []stdlib.ServeOption{stdlib.Signals(os.Interrupt, nil)}, []string{"Signals", "signal 2", "nil"}},
		{"a signal of another type", ctx, srv, ctl, []stdlib.ServeOption{stdlib.Signals(noSignal{})}, []string{"Signals", "signal 1", "noSignal", "syscall"}},
		{"a signal that there is not", ctx, srv, ctl, []stdlib.ServeOption{stdlib.Signals(os.Interrupt, syscall.Signal(1000))}, []string{"Signals", "signal 2", "1000", "syscall"}},
		{"a signal of no number", ctx, srv, ctl, []stdlib.ServeOption{stdlib.Signals(syscall.Signal(0))}, []string{"Signals", "signal 1", "is 0", "syscall"}},
		{"a signal that cannot be caught", ctx, srv, ctl, []stdlib.ServeOption{stdlib.Signals(os.Interrupt, os.Kill)}, []string{"Signals", "signal 2", "killed", "catch"}},
		{"no context to force by", ctx, srv, ctl, []stdlib.ServeOption{stdlib.ForceContext(noContext)}, []string{"ForceContext", "nil"}},
		{"a spread that does not fit", ctx, srv, spread, nil, []string{"DrainSpread", "1m0s", "DrainTimeout", "25s"}},
		{"a delay without a lame duck", ctx, srv, delay, nil, []string{"DrainDelay", "5s", "LameDuck", "0s"}},
		{"a delay beyond the lame duck", ctx, srv, delay, []stdlib.ServeOption{stdlib.LameDuck(4 * time.Second)}, []string{"DrainDelay", "5s", "at most", "4s"}},
		{"a spread that does not fit behind the delay", ctx, srv, delay, []stdlib.ServeOption{stdlib.LameDuck(5 * time.Second), stdlib.DrainTimeout(10 * time.Second)}, []string{"DrainSpread", "6s", "DrainTimeout", "10s", "DrainDelay", "5s"}},
		{"a spread as long as the timeout", ctx, srv, spread, []stdlib.ServeOption{stdlib.DrainTimeout(time.Minute)}, []string{"DrainSpread", "1m0s", "less"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, err := stdlib.Serve(c.ctx, c.srv, c.ctl, c.opts...)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, want := range append(c.want, "politeclose") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error %q lacks %q", err, want)
				}
			}
			if !reflect.DeepEqual(report, stdlib.Report{}) {
				t.Errorf("there is a report: %v", report)
			}
			if c.ctl != nil && c.ctl.Draining() {
				t.Error("the error began a drain")
			}
		})
	}
	if srv.ConnContext != nil || srv.ConnState != nil {
		t.Error("a server was changed by a Serve with a bad argument")
	}
}

// noSignal is an os.Signal that no system sends.
type noSignal struct{}

func (noSignal) Signal()        {}
func (noSignal) String() string { return "none" }

func TestTheListenerIsClosedThoughServeFailsAtOnce(t *testing.T) {
	tracked := servertest.NewHTTP(nil)
	if err := stdlib.Track(tracked, servertest.NewController(t)); err != nil {
		t.Fatal(err)
	}
	for name, serve := range map[string]func(on stdlib.ServeOption) error{
		"a bad option before it": func(on stdlib.ServeOption) error {
			_, err := stdlib.Serve(t.Context(), servertest.NewHTTP(nil), servertest.NewController(t), stdlib.LameDuck(-1), on)
			return err
		},
		"no server": func(on stdlib.ServeOption) error {
			_, err := stdlib.Serve(t.Context(), nil, servertest.NewController(t), on)
			return err
		},
		"another Controller": func(on stdlib.ServeOption) error {
			_, err := stdlib.Serve(t.Context(), tracked, servertest.NewController(t), on)
			return err
		},
	} {
		l := servertest.Listen(t)
		if serve(stdlib.On(l)) == nil {
			t.Errorf("%s: there is no error", name)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener is left open: %v", name, err)
		}
	}
}

func TestTwoListenersAreAnErrorAndBothAreClosed(t *testing.T) {
	first, second := servertest.Listen(t), servertest.Listen(t)
	_, err := stdlib.Serve(t.Context(), servertest.NewHTTP(nil), servertest.NewController(t), stdlib.On(first), stdlib.On(second))
	if err == nil {
		t.Fatal("there is no error")
	}
	for _, want := range []string{"On", first.Addr().String(), second.Addr().String(), "each"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q lacks %q", err, want)
		}
	}
	for _, l := range []net.Listener{first, second} {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener %v is left open: %v", l.Addr(), err)
		}
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	address, ctl := servertest.Listen(t).Addr().String(), servertest.NewController(t)
	srv := &http.Server{Addr: address}
	_, err := stdlib.Serve(t.Context(), srv, ctl)
	if err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("the error is %v, want one that names %s", err, address)
	}
	if ctl.Draining() || !ctl.Resume() {
		t.Error("the error began a drain")
	}
	// The same server can be served where the address is free.
	s := servertest.New(t, ctl, srv).Start()
	s.Drain()
	s.MustEnd()
}

// failing is a listener whose Accept fails once it has accepted some.
type failing struct {
	net.Listener
	after chan struct{} // closed to make it fail
	err   error
}

func (l *failing) Accept() (net.Conn, error) {
	type accepted struct {
		c   net.Conn
		err error
	}
	next := make(chan accepted, 1)
	go func() {
		c, err := l.Listener.Accept()
		next <- accepted{c, err}
	}()
	select {
	case a := <-next:
		return a.c, a.err
	case <-l.after:
		l.Listener.Close()
		<-next
		return nil, l.err
	}
}

func TestAnErrorOfAcceptDrainsWithoutALameDuckAndIsReturned(t *testing.T) {
	t.Parallel()
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		l := &failing{servertest.Listen(t), make(chan struct{}), errors.New("too many open files for a test")}
		ctl := servertest.NewController(t)
		opts := append([]stdlib.ServeOption{stdlib.LameDuck(far), stdlib.DrainTimeout(2 * far), stdlib.IdleGrace(far)}, over.Opts...)
		s := servertest.NewOn(t, l, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))).Start(opts...)
		client := over.Dial(t, s.Address)
		client.ExpectKept(get(t, client, "/"))
		close(l.after)
		clienttest.Eventually(t, "draining", ctl.Draining)
		client.ExpectClosed(get(t, client, "/"))
		client.Close()
		report, err := s.Wait()
		if !errors.Is(err, l.err) || errors.Is(err, stdlib.ErrDrainTimeout) {
			t.Errorf("Serve: %v, want %v", err, l.err)
		}
		if report.Announced != 1 || report.Served != 1 {
			t.Errorf("the report is %+v", report)
		}
		if ctl.Resume() {
			t.Error("Resume, though nobody can connect any more")
		}
	})
	t.Run("with the timeout as well", func(t *testing.T) {
		l := &failing{servertest.Listen(t), make(chan struct{}), errors.New("too many open files for a test")}
		ctl := servertest.NewController(t)
		s := servertest.NewOn(t, l, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))).Start(stdlib.DrainTimeout(50 * time.Millisecond))
		get(t, clienttest.Dial(t, s.Address), "/")
		close(l.after)
		if _, err := s.Wait(); !errors.Is(err, l.err) || !errors.Is(err, stdlib.ErrDrainTimeout) {
			t.Errorf("Serve: %v, want both errors", err)
		}
	})
}

func TestTheUsersOwnShutdownAndCloseEndServe(t *testing.T) {
	for name, end := range map[string]func(*http.Server) error{
		"Shutdown": func(srv *http.Server) error { return srv.Shutdown(context.Background()) },
		"Close":    (*http.Server).Close,
	} {
		t.Run(name, func(t *testing.T) {
			entered, release := make(chan struct{}), make(chan struct{})
			s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(entered)
					<-release
				}
				servertest.Hello(w, r)
			}), stdlib.LameDuck(far), stdlib.DrainTimeout(2*far))
			idle, slow := clienttest.Dial(t, s.Address), clienttest.Dial(t, s.Address)
			get(t, idle, "/")
			slow.Send(clienttest.Request("GET", "/slow"))
			clienttest.Receive(t, "the slow request", entered)
			ended := make(chan error, 1)
			go func() { ended <- end(s.HTTP) }()
			idle.ExpectEnd()
			select {
			case <-s.Done:
				t.Error("Serve has returned before the slow request was over")
			default:
			}
			close(release)
			if err := clienttest.Receive(t, "the end of "+name, ended); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := s.Wait(); !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("Serve: %v", err)
			}
			if s.Controller.Draining() {
				t.Error("the user's own end began a drain")
			}
		})
	}
	t.Run("with a report of what was open then", func(t *testing.T) {
		handler := echoing{make(chan net.Conn, 2)}
		s := serve(t, servertest.NewController(t), handler)
		gone := clienttest.Dial(t, s.Address)
		take(t, gone)
		gone.Close()
		s.ExpectStats("none is hijacked", func(s core.Stats) bool { return s.Hijacked == 0 && s.Exchanges == 1 })
		take(t, clienttest.Dial(t, s.Address))
		s.HTTP.Shutdown(t.Context())
		if report, err := s.Wait(); report.Hijacked != 1 || !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %+v, %v", report, err)
		}
	})
	t.Run("a server that was shut down is not served", func(t *testing.T) {
		srv, l := servertest.NewHTTP(nil), servertest.Listen(t)
		srv.Close()
		if _, err := stdlib.Serve(t.Context(), srv, servertest.NewController(t), stdlib.On(l)); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the listener is left open: %v", err)
		}
	})
	t.Run("forced", func(t *testing.T) {
		ctx, force := context.WithCancel(context.Background())
		entered, release := make(chan struct{}), make(chan struct{})
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
		}), stdlib.ForceContext(ctx), stdlib.DrainTimeout(far))
		defer close(release)
		client := clienttest.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/"))
		clienttest.Receive(t, "the request", entered)
		told := make(chan struct{})
		s.HTTP.RegisterOnShutdown(func() { close(told) })
		go s.HTTP.Shutdown(context.Background())
		clienttest.Receive(t, "the hook", told)
		// Track's own hook has its goroutine by now, because it came first.
		clienttest.ExpectNoGoroutine(t, "politeclose/stdlib.(*tracker).onShutdown")
		force()
		if _, err := s.Wait(); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Run("for a handler that does not return, DrainTimeout at most", func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := serve(t, servertest.NewController(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
		}), stdlib.DrainTimeout(100*time.Millisecond))
		defer close(release)
		clienttest.Dial(t, s.Address).Send(clienttest.Request("GET", "/"))
		clienttest.Receive(t, "the request", entered)
		s.HTTP.Close()
		if _, err := s.Wait(); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
}
