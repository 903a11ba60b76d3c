package stdlib_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// slowApp has a handler that is given up and waits for the test to let it go.
type slowApp struct {
	entered, release, left chan struct{}
}

func newSlowApp() *slowApp {
	return &slowApp{make(chan struct{}), make(chan struct{}), make(chan struct{})}
}

func (a *slowApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		if r.URL.Path == "/begun" {
			w.WriteHeader(http.StatusOK)
		}
		close(a.entered)
		<-a.release
		defer close(a.left)
	}
	hello(w, r)
}

// http.TimeoutHandler runs the handler below on another goroutine with a header
// map of its own, and drops that when it answers 503.
const soon = 20 * time.Millisecond

// timeoutAbove is a TimeoutHandler above the middleware. The paths that are
// not slow have all the time they need.
func timeoutAbove(ctl *core.Controller, app http.Handler) http.Handler {
	behind := stdlib.Middleware(ctl)(app)
	hurried, patient := http.TimeoutHandler(behind, soon, "too late"), http.TimeoutHandler(behind, clienttest.Patience, "")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			patient.ServeHTTP(w, r)
		} else {
			hurried.ServeHTTP(w, r)
		}
	})
}

func TestTimeoutHandlerAboveTheMiddleware(t *testing.T) {
	serveApp := func(t *testing.T, ctl *core.Controller, app http.Handler, opts ...stdlib.ServeOption) *running {
		t.Helper()
		return serveOn(t, listen(t), ctl, newServer(timeoutAbove(ctl, app)), opts...)
	}
	giveUp := func(t *testing.T, client *clienttest.Conn, path string) {
		t.Helper()
		r := client.Get(path)
		if r.Status != http.StatusServiceUnavailable || r.Connection != nil {
			t.Errorf("the slow request was answered with %d and Connection %q", r.Status, r.Connection)
		}
	}

	t.Run("a handler in time announces", func(t *testing.T) {
		ctl := newController(t)
		s := serveApp(t, ctl, newSlowApp())
		client := clienttest.Dial(t, s.address)
		client.ExpectKept(get(t, client, "/"))
		ctl.Drain()
		client.ExpectClosed(get(t, client, "/"))
	})
	t.Run("one that commits after it was given up makes the next response announce", func(t *testing.T) {
		ctl, app := newController(t), newSlowApp()
		s := serveApp(t, ctl, app)
		client := clienttest.Dial(t, s.address)
		ctl.Drain()
		giveUp(t, client, "/slow")
		client.ExpectOpen()
		close(app.release)
		clienttest.Receive(t, "the end of the handler", app.left)
		client.ExpectOpen()
		client.ExpectClosed(get(t, client, "/"))
		expectOneClose(t, ctl, core.ReasonDrain)
	})
	t.Run("one that is still running does not keep the next response from announcing", func(t *testing.T) {
		ctl, app := newController(t), newSlowApp()
		s := serveApp(t, ctl, app)
		defer close(app.release)
		client := clienttest.Dial(t, s.address)
		giveUp(t, client, "/slow")
		client.ExpectKept(get(t, client, "/"))
		ctl.Drain()
		client.ExpectClosed(get(t, client, "/"))
	})
	t.Run("one that commits after it was given up does not hold up the drain", func(t *testing.T) {
		ctl, app := newController(t), newSlowApp()
		s := serveApp(t, ctl, app, stdlib.IdleGrace(100*time.Millisecond), stdlib.DrainTimeout(2*clienttest.Patience))
		client := clienttest.Dial(t, s.address)
		giveUp(t, client, "/slow")
		s.drain()
		s.listenerIsClosed()
		close(app.release)
		clienttest.Receive(t, "the end of the handler", app.left)
		if report := s.mustEnd(); report.ClosedIdle != 1 || report.Forced != 0 {
			t.Errorf("the report is %+v; want one connection closed idle", report)
		}
		client.ExpectEnd()
	})
}

func TestAnAnnouncementThatWasGivenUpIsNotCounted(t *testing.T) {
	ctl, app := newController(t), newSlowApp()
	s := serveOn(t, listen(t), ctl, newServer(timeoutAbove(ctl, app)), stdlib.IdleGrace(100*time.Millisecond))
	client := clienttest.Dial(t, s.address)
	ctl.Drain()
	if r := client.Get("/begun"); r.Status != http.StatusServiceUnavailable || r.Connection != nil {
		t.Errorf("the request was answered with %d and Connection %q", r.Status, r.Connection)
	}
	client.ExpectOpen()
	close(app.release)
	clienttest.Receive(t, "the end of the handler", app.left)
	s.drain()
	if report := s.mustEnd(); report.Announced != 0 || report.ClosedIdle != 1 {
		t.Errorf("the report is %+v; want no connection announced and one closed idle", report)
	}
}

func TestTimeoutHandlerBelowTheMiddleware(t *testing.T) {
	ctl, app := newController(t), newSlowApp()
	hurried := http.TimeoutHandler(app, soon, "too late")
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			hello(w, r)
		} else {
			hurried.ServeHTTP(w, r)
		}
	}))
	defer close(app.release)
	client := clienttest.Dial(t, s.address)
	client.ExpectKept(get(t, client, "/"))
	ctl.Drain()
	r := client.Get("/slow")
	if r.Status != http.StatusServiceUnavailable {
		t.Errorf("the status is %d", r.Status)
	}
	client.ExpectClosed(r)
}
