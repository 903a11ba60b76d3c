package stdlib_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestReady(t *testing.T) {
	ask := func(ctl *core.Controller) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		stdlib.Ready(ctl).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		if got := w.Result().Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q", got)
		}
		return w
	}
	ctl, flagged := servertest.NewController(t), servertest.NewController(t, core.DrainWhen(func() bool { return true }))
	// Who asks first waits for the flag for 20 ms at most.
	flagRead := func() { clienttest.Eventually(t, "the flag is read", flagged.Draining) }
	for _, c := range []struct {
		name   string
		ctl    *core.Controller
		before func()
		want   int
	}{
		{"while serving", ctl, func() {}, http.StatusOK},
		{"while draining", ctl, ctl.Drain, http.StatusServiceUnavailable},
		{"resumed", ctl, func() { ctl.Resume() }, http.StatusOK},
		{"without a Controller", nil, func() {}, http.StatusOK},
		{"by a flag", flagged, flagRead, http.StatusServiceUnavailable},
	} {
		c.before()
		if got := ask(c.ctl).Code; got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestDrainWhenAnnouncesAndClosesNoListener(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	ctl := servertest.NewController(t, core.DrainWhen(up.Load))
	mux := http.NewServeMux()
	mux.HandleFunc("/", servertest.Hello)
	mux.Handle("/readyz", stdlib.Ready(ctl))
	s := serve(t, ctl, mux)
	client := clienttest.Dial(t, s.Address)
	client.ExpectKept(get(t, client, "/"))
	up.Store(true)
	clienttest.Eventually(t, "not ready", func() bool { // the flag is read once a second
		r := clienttest.Dial(t, s.Address).Get("/readyz")
		return r.Status == http.StatusServiceUnavailable
	})
	client.ExpectClosed(get(t, client, "/"))
	another := clienttest.Dial(t, s.Address)
	another.ExpectClosed(get(t, another, "/"))
	up.Store(false)
	clienttest.Eventually(t, "ready again", func() bool { return !ctl.Draining() })
	another = clienttest.Dial(t, s.Address)
	another.ExpectKept(get(t, another, "/"))
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(what string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), what)
}

// expectOne fails the test unless the log is one line, with what in it.
func (l *lines) expectOne(t *testing.T, what string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if text := l.text.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, what) {
		t.Errorf("the log is %q, want one line about %q", text, what)
	}
}

func TestADrainWhenFlagThatPanicsCountsAsFalseAndIsSaidOnce(t *testing.T) {
	t.Parallel()
	var log lines
	reads := make(chan struct{}, 100)
	ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))), core.DrainWhen(func() bool {
		reads <- struct{}{}
		panic("out of order")
	}))
	s := serve(t, ctl, servertest.Hello)
	client := clienttest.Dial(t, s.Address)
	clienttest.Eventually(t, "the flag was read twice", func() bool { // a second apart
		client.ExpectKept(get(t, client, "/"))
		return len(reads) >= 2
	})
	log.expectOne(t, "DrainWhen")
}

func TestUntrackedExchangesAreSaidOnce(t *testing.T) {
	var log lines
	ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil))))
	client := clienttest.Dial(t, serveBare(t, servertest.Cleartext, stdlib.Middleware(ctl)(servertest.Hello)))
	for range 3 {
		client.ExpectKept(get(t, client, "/"))
	}
	log.expectOne(t, "stdlib.Track")
	if n := ctl.Stats().Untracked; n != 3 {
		t.Errorf("%d exchanges are untracked, want 3", n)
	}
}

func TestReadyAsksItsChecks(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	asked := make(chan struct{}, 10)
	ok := func(context.Context) error { return nil }
	for _, c := range []struct {
		name   string
		checks []func(context.Context) error
		want   int
		says   string
	}{
		{"none fails", []func(context.Context) error{ok, ok}, http.StatusOK, ""},
		{"one fails", []func(context.Context) error{ok, func(context.Context) error { return errors.New("no database at db.internal") }},
			http.StatusServiceUnavailable, "check 2: no database at db.internal"},
		{"one is nil", []func(context.Context) error{nil}, http.StatusServiceUnavailable, "check 1: the function is nil"},
		{"one panics", []func(context.Context) error{func(context.Context) error { panic("at the disco") }},
			http.StatusServiceUnavailable, "check 1: the function panicked: at the disco"},
		{"one ends its goroutine", []func(context.Context) error{func(context.Context) error { runtime.Goexit(); return nil }},
			http.StatusServiceUnavailable, "check 1: the function ended its goroutine"},
		{"one hangs", []func(context.Context) error{func(context.Context) error { asked <- struct{}{}; <-release; return nil }},
			http.StatusServiceUnavailable, "check 1: the function has not returned within 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log lines
			ready := stdlib.Ready(servertest.NewController(t, core.Logger(slog.New(slog.NewTextHandler(&log, nil)))), c.checks...)
			for range 2 {
				w := httptest.NewRecorder()
				ready.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
				if body := w.Body.String(); w.Code != c.want || strings.Contains(body, "db.internal") {
					t.Errorf("it answers %d %q, want %d", w.Code, body, c.want)
				}
			}
			if c.says != "" {
				log.expectOne(t, c.says)
			}
		})
	}
	if len(asked) != 1 {
		t.Errorf("a check that hangs was called %d times", len(asked))
	}
	ctl := servertest.NewController(t)
	ctl.Drain()
	w := httptest.NewRecorder()
	stdlib.Ready(ctl, func(context.Context) error { t.Error("asked in a drain"); return nil }).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusServiceUnavailable || w.Body.String() != "draining\n" {
		t.Errorf("in a drain: %d %q", w.Code, w.Body)
	}
}

func TestACheckThatEndedItsGoroutineIsAskedAgain(t *testing.T) {
	asked := 0
	ready := stdlib.Ready(nil, func(context.Context) error {
		if asked++; asked == 1 {
			runtime.Goexit()
		}
		return nil
	})
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusOK} {
		w := httptest.NewRecorder()
		ready.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		if w.Code != want {
			t.Errorf("it answers %d, want %d", w.Code, want)
		}
	}
}
