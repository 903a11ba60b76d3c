package conformance

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// reasonCase is a rule, a request whose connection it ends, and one whose
// connection it leaves alone.
type reasonCase struct {
	name    string
	options []core.Option
	prepare func(*core.Controller)
	without bool // the Middleware
	layer   Layer
	closes  request
	reason  core.Reason
	keeps   request // none where the rule spares nobody
}

func (f Framework) testReasons(t *testing.T) {
	pattern := "/users/" + f.Parameter
	for _, c := range []reasonCase{
		{
			name:    "a drain",
			prepare: (*core.Controller).Drain,
			closes:  to("GET /plain"), reason: core.ReasonDrain,
		},
		{
			name:    "a drain flag from outside",
			options: []core.Option{core.DrainWhen(func() bool { return true })},
			// A first exchange waits for the flag for 20 ms at most.
			prepare: func(ctl *core.Controller) { clienttest.Eventually(t, "the flag is read", ctl.Draining) },
			closes:  to("GET /plain"), reason: core.ReasonDrain,
		},
		{
			name:   "a handler's CloseAfter",
			closes: to("GET /closeafter"), reason: core.ReasonHandler, keeps: to("GET /plain"),
		},
		{
			name:    "a handler's CloseAfter with a reason that was declared",
			options: []core.Option{core.OnMatch("export", func(*http.Request) bool { return false })},
			closes:  to("GET /closeafter"), reason: "export", keeps: to("GET /plain"),
		},
		{
			name:    "a sensitive route by the router's pattern",
			options: []core.Option{core.OnRoutes(pattern + "/keys")},
			closes:  to("GET /users/7/keys"), reason: core.ReasonRoute, keeps: to("GET /users/7"),
		},
		{
			name:    "a sensitive route by its method and path",
			options: []core.Option{core.OnRoutes("POST /login")},
			closes:  to("POST /login"), reason: core.ReasonRoute, keeps: to("GET /login"),
		},
		{
			name:    "a sensitive route by another spelling of its path",
			options: []core.Option{core.OnRoutes("/login")},
			closes:  to("POST //%6Cogin/"), reason: core.ReasonRoute, keeps: to("GET /users/login"),
		},
		{
			name:   "Sensitive on a route",
			closes: to("GET /sensitive/route"), reason: core.ReasonRoute, keeps: to("GET /plain"),
		},
		{
			name:   "Sensitive on a group",
			closes: to("GET /sensitive/group"), reason: core.ReasonRoute, keeps: to("GET /plain"),
		},
		{
			name: "Sensitive without Middleware", without: true,
			closes: to("GET /sensitive/route"), reason: core.ReasonRoute, keeps: to("GET /plain"),
		},
		{
			name: "a drain without Middleware", without: true,
			prepare: (*core.Controller).Drain,
			closes:  to("GET /plain"), reason: core.ReasonDrain,
		},
		{
			name: "a client",
			options: []core.Option{core.OnMatch(core.ReasonClient, func(r *http.Request) bool {
				return strings.HasPrefix(r.UserAgent(), "Old/")
			})},
			closes: to("GET /plain").with("User-Agent", "Old/1"), reason: core.ReasonClient, keeps: to("GET /plain"),
		},
		{
			name:    "the status of an error returned or thrown",
			options: []core.Option{core.OnStatus(http.StatusConflict)},
			closes:  to("GET /fail"), reason: core.ReasonStatus, keeps: to("GET /plain"),
		},
		{
			name:    "the status of a panic that was recovered",
			options: []core.Option{core.OnStatus(http.StatusInternalServerError)},
			layer:   Recover,
			closes:  to("GET /panic"), reason: core.ReasonStatus, keeps: to("GET /plain"),
		},
		{
			name:    "the status of the framework's 404",
			options: []core.Option{core.OnStatus(http.StatusNotFound)},
			closes:  to("GET /not/there"), reason: core.ReasonStatus, keeps: to("GET /plain"),
		},
		{
			name:    "the status of the framework's 405",
			options: []core.Option{core.OnStatus(http.StatusMethodNotAllowed)},
			closes:  to("DELETE /plain"), reason: core.ReasonStatus, keeps: to("GET /plain"),
		},
		{
			name:    "a body too large",
			options: []core.Option{core.OnStatus(http.StatusRequestEntityTooLarge)},
			closes:  to("POST /upload").withBody(strings.Repeat("x", 64)), reason: core.ReasonStatus, keeps: to("POST /upload").withBody("x"),
		},
		{
			name:    "age",
			options: []core.Option{core.OnAge(time.Nanosecond), core.Exempt(pattern)},
			closes:  to("GET /plain"), reason: core.ReasonAge, keeps: to("GET /users/7"),
		},
		{
			name:    "age, where the exempt pattern is the path and not the route",
			options: []core.Option{core.OnAge(time.Nanosecond), core.Exempt("/users/7")},
			closes:  to("GET /users/7"), reason: core.ReasonAge,
		},
		{
			name:    "the number of requests",
			options: []core.Option{core.OnRequestCount(1), core.Exempt(pattern)},
			closes:  to("GET /plain"), reason: core.ReasonRequests, keeps: to("GET /users/7"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, p := range protocols {
				if !p.clientCloses {
					t.Run(p.name, func(t *testing.T) { f.testReason(t, c, p) })
				}
			}
		})
	}
	t.Run("load", func(t *testing.T) {
		full := core.Signal{Name: "full", Soft: 1, Hard: 2, Read: func(core.Snapshot) (float64, error) { return 2, nil }}
		f.testShare(t, core.OnLoad(full), core.ReasonLoad)
	})
	t.Run("excess", func(t *testing.T) {
		f.testShare(t, core.OnExcess(func() int { return 1 }), core.ReasonExcess)
	})
}

// to is the request of a line such as "GET /path".
func to(line string) request {
	method, path, _ := strings.Cut(line, " ")
	return request{method: method, path: path}
}

func (r request) withBody(body string) request {
	r.body = body
	return r
}

func (f Framework) reasonRoutes() []Route {
	pattern := "/users/" + f.Parameter
	handle := func(line string, h http.HandlerFunc) Route {
		r := to(line)
		return Route{Method: r.method, Path: r.path, Handler: h}
	}
	onRoute, onGroup := handle("GET /sensitive/route", write), handle("GET /sensitive/group", write)
	onRoute.Sensitive, onGroup.Sensitive = OnRoute, OnGroup
	return []Route{
		handle("GET /plain", write),
		handle("GET /closeafter", func(w http.ResponseWriter, r *http.Request) {
			if !core.CloseAfter(r.Context(), "export") {
				panic("CloseAfter refused")
			}
			write(w, r)
		}),
		handle("GET "+pattern, write),
		handle("GET "+pattern+"/keys", write),
		handle("GET /login", write),
		handle("POST /login", write),
		handle("POST /upload", overflow),
		handle("GET /panic", func(http.ResponseWriter, *http.Request) { panic("a panic in a test") }),
		{Method: http.MethodGet, Path: "/fail", Native: Fail},
		onRoute, onGroup,
	}
}

func (f Framework) testReason(t *testing.T, c reasonCase, p protocol) {
	app := App{Controller: servertest.NewController(t, c.options...), Placement: Outermost, Layer: c.layer, Routes: f.reasonRoutes()}
	if c.without {
		app.Placement = Nowhere
	}
	server := serve(t, f.New(t, app), app.Controller)
	if c.prepare != nil {
		c.prepare(app.Controller)
	}

	client := p.dial(server)
	defer client.close()
	mustClose(t, p, client, client.do(c.closes))
	for reason, n := range app.Controller.Stats().Closes {
		if want := reason == c.reason; n != 0 && !want || n != 1 && want {
			t.Errorf("%d closes were counted for the reason %q", n, reason)
		}
	}

	if c.keeps.path != "" {
		testKeeps(t, c, p, server)
	}
}

// testKeeps sends the request that a rule spares twice over one connection.
//
// Once a second the HTTP/2 connections that are too old and silent are told, and
// have no route then to be exempt. Where that comes between the two requests they
// are sent again; a rule that did not spare them would announce each time.
func testKeeps(t *testing.T, c reasonCase, p protocol, server *server) {
	tries := 1
	if p.http2 && c.reason == core.ReasonAge {
		tries = 20
	}
	for try := 1; ; try++ {
		client := p.dial(server)
		defer client.close()
		answers := []answer{client.do(c.keeps), client.do(c.keeps)}
		if client.announced() && try < tries {
			continue
		}
		for _, a := range answers {
			mustKeep(t, client, a)
		}
		return
	}
}

// mustClose holds a client to having been told, and the server to doing it.
func mustClose(t *testing.T, p protocol, c client, a answer) {
	t.Helper()
	if !a.final {
		t.Fatalf("there was no response: %q", a.transcript)
	}
	if want := []string{"close"}; !p.http2 && !slices.Equal(a.connection, want) {
		t.Errorf("Connection was %q, not exactly close", a.connection)
	}
	if err := c.leaving(); err != nil {
		t.Errorf("the server did not end the connection: %v", err)
	}
}

// mustKeep holds the server to not having said a word of closing.
func mustKeep(t *testing.T, c client, a answer) {
	t.Helper()
	if !a.whole {
		t.Fatalf("there was no whole response: %q", a.transcript)
	}
	if slices.Contains(a.connection, "close") || c.announced() {
		t.Errorf("a close was announced; Connection: %q", a.connection)
	}
}

// testShare is for a rule that ends a share of the connections. It has no fixed
// moment: a young connection stays, and some always do.
func (f Framework) testShare(t *testing.T, rule core.Option, reason core.Reason) {
	const connections = 40
	ctl := servertest.NewController(t, rule, core.Exempt("/login"))
	server := serve(t, f.New(t, App{Controller: ctl, Placement: Outermost, Routes: f.reasonRoutes()}), ctl)
	p := protocols[slices.IndexFunc(protocols, func(p protocol) bool { return p.name == "HTTP/1.1" })]

	var clients []client
	for range connections {
		c := p.dial(server)
		defer c.close()
		clients = append(clients, c)
	}
	clienttest.Eventually(t, "all connections are open", func() bool { return ctl.Stats().Open == connections })
	for deadline := time.Now().Add(clienttest.Patience); time.Now().Before(deadline); {
		for _, c := range clients {
			mustKeep(t, c, c.do(to("GET /login")))
			a := c.do(to("GET /plain"))
			if slices.Contains(a.connection, "close") {
				mustClose(t, p, c, a)
				if n := ctl.Stats().Closes[reason]; n != 1 {
					t.Errorf("%d closes were counted for %s", n, reason)
				}
				return
			}
			mustKeep(t, c, a)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("no connection was closed for %s within %v", reason, clienttest.Patience)
}
