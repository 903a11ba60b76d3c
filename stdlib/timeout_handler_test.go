package stdlib_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
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
	servertest.Hello(w, r)
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

func TestAnAnswerInTheHandlersPlaceIsAnnouncedToo(t *testing.T) {
	ctl, app := servertest.NewController(t), newSlowApp()
	s := servertest.New(t, ctl, servertest.NewHTTP(timeoutAbove(ctl, app))).Start()
	patient, hurried := clienttest.Dial(t, s.Address), clienttest.Dial(t, s.Address)
	patient.ExpectKept(get(t, patient, "/"))
	ctl.Drain()
	r := hurried.Get("/slow")
	if r.Status != http.StatusServiceUnavailable {
		t.Errorf("the slow request was answered with %d", r.Status)
	}
	hurried.ExpectClosed(r)
	hurried.Close() // or the server waits for that
	patient.ExpectClosed(get(t, patient, "/"))
	patient.Close()
	close(app.release)
	clienttest.Receive(t, "the end of the handler", app.left)
	s.Drain()
	if report := s.MustEnd(); report.Announced != 2 || report.Forced != 0 {
		t.Errorf("the report is %+v", report)
	}
	if stats := ctl.Stats(); stats.InFlight != 0 || stats.Closes[core.ReasonDrain] != 2 {
		t.Errorf("the statistics are %+v", stats)
	}
}

func TestTimeoutHandlerBelowTheMiddleware(t *testing.T) {
	ctl, app := servertest.NewController(t), newSlowApp()
	hurried := http.TimeoutHandler(app, soon, "too late")
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			servertest.Hello(w, r)
		} else {
			hurried.ServeHTTP(w, r)
		}
	}))
	defer close(app.release)
	client := clienttest.Dial(t, s.Address)
	client.ExpectKept(get(t, client, "/"))
	ctl.Drain()
	r := client.Get("/slow")
	if r.Status != http.StatusServiceUnavailable {
		t.Errorf("the status is %d", r.Status)
	}
	client.ExpectClosed(r)
}

// Such as an access log below http.TimeoutHandler, which answers meanwhile.
func TestAHandlerThatIsGivenUpMayAskWhatIsAnnounced(t *testing.T) {
	asked, answered := make(chan struct{}, 20), make(chan struct{}, 20)
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	srv := servertest.NewHTTP(http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		core.Announced(r.Context())
		asked <- struct{}{}
		<-answered // who returns at once may still be in time
	}), time.Millisecond, "late"))
	client := clienttest.Dial(t, servertest.ServeTracked(t, srv, ctl, servertest.Cleartext))
	defer close(answered)
	for range cap(asked) {
		client.Send(clienttest.Request("GET", "/"))
		if r := client.Receive(); r.Status != http.StatusServiceUnavailable {
			t.Fatalf("status %d", r.Status)
		}
		answered <- struct{}{}
		clienttest.Receive(t, "the handler that was given up", asked)
	}
}

// TimeoutHandler answers in the place of what it has given up, with a header of its
// own, and throws away all that was written before.
func TestWhatATimeoutHandlerAboveGivesUpIsNotCountedAsAnnounced(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"that answers too late": func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			io.WriteString(w, "late")
		},
		"that says nothing": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"that had written more than net/http holds back": func(w http.ResponseWriter, r *http.Request) {
			w.Write(make([]byte, 1<<20))
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes("/slow"))
			left, tested := make(chan struct{}), make(chan struct{})
			defer close(tested)
			patient := http.TimeoutHandler(stdlib.Middleware(ctl)(servertest.Hello), clienttest.Patience, "")
			given := stdlib.Middleware(ctl)(handler)
			hurried := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				given.ServeHTTP(w, r)
				close(left)
				<-tested // who returns at once may still be in time
			}), soon, "too late")
			address := serveBare(t, servertest.Cleartext, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("hurry") {
					hurried.ServeHTTP(w, r)
				} else {
					patient.ServeHTTP(w, r)
				}
			}))
			client := clienttest.Dial(t, address)
			response := client.Get("/slow?hurry")
			if response.Status != http.StatusServiceUnavailable {
				t.Errorf("the status is %d", response.Status)
			}
			client.ExpectKept(response)
			clienttest.Receive(t, "the end of the handler", left)
			if stats := ctl.Stats(); stats.InFlight != 0 || stats.Closes[core.ReasonRoute] != 0 {
				t.Errorf("the statistics are %+v", stats)
			}
			client.ExpectClosed(get(t, client, "/slow"))
			expectOneClose(t, ctl, core.ReasonRoute)
		})
	}
}
