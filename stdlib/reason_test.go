package stdlib_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// because is one way to bring a connection to its end.
type because struct {
	reason core.Reason
	opts   []core.Option
	path   string                 // of the request whose response announces
	before func(*core.Controller) // done before it
}

var everyReason = []because{
	{reason: core.ReasonDrain, path: "/", before: (*core.Controller).Drain},
	{reason: core.ReasonHandler, path: "/ask"},
	{reason: core.ReasonRoute, path: "/login", opts: []core.Option{core.OnRoutes("/login")}},
	{reason: core.ReasonClient, path: "/", opts: []core.Option{core.OnMatch(core.ReasonClient, anyRequest)}},
	{reason: "legacy", path: "/", opts: []core.Option{core.OnMatch("legacy", anyRequest)}},
	{reason: core.ReasonStatus, path: "/teapot", opts: []core.Option{core.OnStatus(http.StatusTeapot)}},
	{reason: core.ReasonAge, path: "/", opts: []core.Option{core.OnAge(time.Nanosecond)}},
	{reason: core.ReasonRequests, path: "/", opts: []core.Option{core.OnRequestCount(1)}},
}

func anyRequest(*http.Request) bool { return true }

// app has a path for every reason.
func app() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", servertest.Hello)
	mux.HandleFunc("/login", servertest.Hello)
	mux.HandleFunc("/ask", func(w http.ResponseWriter, r *http.Request) {
		core.CloseAfter(r.Context(), core.ReasonHandler)
		servertest.Hello(w, r)
	})
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})
	return mux
}

// expectOneClose holds the counters to one close, for this reason.
func expectOneClose(t testing.TB, ctl *core.Controller, reason core.Reason) {
	t.Helper()
	for r, n := range ctl.Stats().Closes {
		if want := map[bool]uint64{true: 1}[r == reason]; n != want {
			t.Errorf("%d closes are counted for %q, want %d", n, r, want)
		}
	}
}

func TestHeaderAndSocketAgreeForEveryReason(t *testing.T) {
	for _, c := range everyReason {
		t.Run(string(c.reason), func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				ctl := servertest.NewController(t, c.opts...)
				s := serve(t, ctl, app(), over.Opts...)
				client := over.Dial(t, s.Address)
				if c.before != nil {
					c.before(ctl)
				}
				client.ExpectClosed(client.Get(c.path))
				expectOneClose(t, ctl, c.reason)
			})
		})
	}
}

func TestLoadClosesSomeOfTheOldConnections(t *testing.T) {
	t.Parallel() // waits a second, because a young connection is not closed for load
	ctl := servertest.NewController(t, core.OnLoad(core.Signal{
		Name: "always", Soft: 1, Hard: 2, Read: func(core.Snapshot) (float64, error) { return 3, nil },
	}))
	s := serve(t, ctl, app())
	// At most 0.9 of the connections go, and two that follow each other are 0.6
	// apart: one of them at least is among these.
	opened := time.Now()
	clients := []*clienttest.Conn{clienttest.Dial(t, s.Address), clienttest.Dial(t, s.Address)}
	clienttest.Eventually(t, "one is closed", func() bool {
		for _, c := range clients {
			if response := get(t, c, "/"); response.Connection != nil {
				if age := time.Since(opened); age < time.Second {
					t.Errorf("it was closed at an age of %v", age)
				}
				c.ExpectClosed(response)
				return true
			}
		}
		return false
	})
	expectOneClose(t, ctl, core.ReasonLoad)
}

func TestWithoutAReasonTheConnectionIsKept(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t, core.OnRoutes("/login"), core.OnStatus(http.StatusTeapot), core.OnAge(time.Hour), core.OnRequestCount(1000))
		s := serve(t, ctl, app(), over.Opts...)
		client := over.Dial(t, s.Address)
		for range 3 {
			client.ExpectKept(get(t, client, "/"))
		}
		expectOneClose(t, ctl, "none")
		if n := ctl.Stats().ClientInitiated; n != 0 {
			t.Errorf("%d closes by clients are counted", n)
		}
	})
}
