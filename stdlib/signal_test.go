package stdlib_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/childtest"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// child serves until a signal, and then prints what Serve returned.
func child() (status int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return 2
	}
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return 2
	}
	fmt.Println(l.Addr())
	opts := []stdlib.ServeOption{stdlib.On(l), stdlib.IdleGrace(0), stdlib.DrainTimeout(time.Hour)}
	switch childtest.Kind() {
	case "default":
		opts = append(opts, stdlib.Signals())
	case "named":
		opts = append(opts, stdlib.Signals(syscall.SIGHUP))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", servertest.Hello)
	mux.Handle("/ready", stdlib.Ready(ctl))
	mux.HandleFunc("/blocked", func(_ http.ResponseWriter, r *http.Request) {
		io.WriteString(os.Stdout, "blocked\n")
		<-r.Context().Done()
	})
	srv := &http.Server{Handler: stdlib.Middleware(ctl)(mux)}
	serve := func() (stdlib.Report, error) { return stdlib.Serve(context.Background(), srv, ctl, opts...) }
	if childtest.Kind() == "shutdown" {
		serve = func() (stdlib.Report, error) { return shutDownWhenBlocked(srv, ctl, l) }
	}
	report, err := serve()
	fmt.Printf("announced %d, forced %d, error %v\n", report.Announced, report.Forced, err)
	if errors.Is(err, stdlib.ErrDrainTimeout) {
		return 3
	}
	return 0
}

// shutDownWhenBlocked is a program that serves by itself, and drains when a request
// is under way.
func shutDownWhenBlocked(srv *http.Server, ctl *core.Controller, l net.Listener) (stdlib.Report, error) {
	blocked, handler := make(chan struct{}), srv.Handler
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/blocked" {
			close(blocked)
		}
		handler.ServeHTTP(w, r)
	})
	if err := stdlib.Track(srv, ctl); err != nil {
		return stdlib.Report{}, err
	}
	go srv.Serve(l)
	<-blocked
	return stdlib.Shutdown(context.Background(), srv, ctl,
		stdlib.Signals(), stdlib.IdleGrace(0), stdlib.DrainTimeout(time.Hour))
}

// startChild returns the process and the address of its server.
func startChild(t *testing.T, kind string) (p *childtest.Process, address string) {
	t.Helper()
	p = childtest.Start(t, kind)
	return p, p.Line()
}

func TestTheFirstSignalDrains(t *testing.T) {
	for _, c := range []struct {
		kind   string
		signal os.Signal
	}{
		{"default", syscall.SIGTERM},
		{"default", os.Interrupt},
		{"named", syscall.SIGHUP},
	} {
		t.Run(c.kind+" "+c.signal.String(), func(t *testing.T) {
			p, address := startChild(t, c.kind)
			client := clienttest.Dial(t, address)
			client.ExpectKept(get(t, client, "/"))
			p.Signal(c.signal)
			// The client's connection is idle and stays until its next request.
			waitForClosedListener(t, address)
			client.ExpectClosed(get(t, client, "/"))
			client.Close()
			p.ExpectLine("announced 1, forced 0, error <nil>")
			p.ExpectStatus(0)
		})
	}
}

func TestTheSecondSignalForces(t *testing.T) {
	p, address := startChild(t, "default")
	blocked := clienttest.Dial(t, address)
	blocked.Send(clienttest.Request("GET", "/blocked"))
	p.ExpectLine("blocked")
	p.Signal(syscall.SIGTERM)
	waitForClosedListener(t, address)
	p.Signal(os.Interrupt)
	p.ExpectLine("announced 0, forced 1, error " + stdlib.ErrForced.Error())
	p.ExpectStatus(3)
}

func TestTheSecondSignalThatComesDuringAShutdownForces(t *testing.T) {
	p, address := startChild(t, "shutdown")
	idle, blocked := clienttest.Dial(t, address), clienttest.Dial(t, address)
	get(t, idle, "/")
	blocked.Send(clienttest.Request("GET", "/blocked"))
	p.ExpectLine("blocked")
	waitForClosedListener(t, address)
	p.Signal(syscall.SIGTERM)
	idle.ExpectClosed(get(t, idle, "/"))
	idle.Close()
	p.Signal(os.Interrupt)
	p.ExpectLine("announced 1, forced 1, error " + stdlib.ErrForced.Error())
	p.ExpectStatus(3)
}

func TestWithoutTheOptionASignalIsNotTouched(t *testing.T) {
	for _, kind := range []string{"none", "named"} {
		p, address := startChild(t, kind)
		get(t, clienttest.Dial(t, address), "/")
		p.Signal(syscall.SIGTERM)
		p.ExpectKilled(syscall.SIGTERM)
	}
}

func waitForClosedListener(t testing.TB, address string) {
	t.Helper()
	clienttest.Eventually(t, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return true
		}
		c.Close()
		return false
	})
}
