package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/statuspage"
	"github.com/politeclose/politeclose/stdlib"
)

// far is longer than any test.
const far = 5 * time.Minute

// serve serves the page until the test ends.
func serve(t *testing.T, ctl *core.Controller, opts ...statuspage.Option) (address string) {
	t.Helper()
	srv := httptest.NewServer(statuspage.Handler(ctl, opts...))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestAnIdleServer(t *testing.T) {
	b := open(t, serve(t, servertest.NewController(t, core.OnRoutes("/login"))))
	if state := b.text("#state"); state != "serving" {
		t.Errorf("the state is %q", state)
	}
	if idle, active := b.text("#idle"), b.text("#active"); idle != "0" || active != "0" {
		t.Errorf("%s idle and %s active", idle, active)
	}
	if n := b.count("#chart rect"); n != 0 || b.count("#drain") != 0 || b.count("form") != 0 {
		t.Errorf("%d bars, or a drain or controls", n)
	}
	if row := b.row("#patterns", "OnRoutes"); row[1] != "/login" || row[2] != "none so far" {
		t.Errorf("the pattern's row is %q", row)
	}
	b.show("idle")
	b.expectClean()
}

func TestUnderLoadThePageUpdatesItself(t *testing.T) {
	ctl := servertest.NewController(t,
		core.OnRoutes("/login", "POST /admin/{id}", "/never"), core.Exempt("/healthz"), core.OnStatus(http.StatusTeapot),
		core.OnMatch("legacy", func(r *http.Request) bool { return r.UserAgent() == "old" }),
		core.OnLoad(core.Signal{Name: "in flight", Soft: 10, Hard: 40, Read: func(core.Snapshot) (float64, error) { return 17.5, nil }}))
	address := servertest.ServeTracked(t, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/tea" {
			w.WriteHeader(http.StatusTeapot)
		}
	})), ctl, servertest.Cleartext)
	visit := func(path string, n int, lines ...string) {
		for range n {
			c := clienttest.Dial(t, address)
			c.ExpectClosed(c.Get(path, lines...))
			c.Close()
		}
	}
	visit("/login", 3)
	b := open(t, serve(t, ctl))
	if row := b.row("#rules", "route"); row[1] != "3" || row[2] != "3" {
		t.Errorf("the rule's row is %q", row)
	}
	visit("/login", 4)
	visit("/tea", 5)
	visit("/", 2, "User-Agent: old")
	clienttest.Dial(t, address).Get("/")
	b.eventually("all have been counted", func() bool {
		return b.row("#rules", "route")[2] == "7" && b.row("#rules", "status")[2] == "5" && b.row("#rules", "legacy")[2] == "2" &&
			b.row("#ended", "announced")[1] == "14" && b.text("#idle") == "1"
	})
	if n := b.count("#chart rect"); n < 3 {
		t.Errorf("%d bars, want one for each of three reasons at least", n)
	}
	if row := b.row("#signals", "in flight"); row[1] != "17.5" || row[2] != "10" || row[3] != "40" || b.count("#signals meter") != 1 {
		t.Errorf("the signal's row is %q", row)
	}
	if state := b.text("#fresh"); state != "live" {
		t.Errorf("the page says %q", state)
	}
	b.show("load")
	b.expectClean()
}

// Half of 200 connections go when they are told, a stream is the last one.
func TestADrainOfFiveSecondsWithTwoHundredConnections(t *testing.T) {
	const connections, half, quarter, drain = 200, 100, 50, 5 * time.Second
	ctl := servertest.NewController(t)
	leave := make(chan struct{})
	s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/export" {
			<-leave
		}
	}))).Start(stdlib.DrainTimeout(far), stdlib.IdleGrace(0))
	var clients []*clienttest.Conn
	for range connections {
		c := clienttest.Dial(t, s.Address)
		c.SetDeadline(time.Now().Add(far)) // it waits for a browser
		c.Get("/")
		clients = append(clients, c)
	}
	stream := clients[0]
	stream.Send(clienttest.Request("GET", "/export"))
	b := open(t, serve(t, ctl))
	b.eventually("all are there", func() bool { return b.text("#idle") == "199" && b.text("#active") == "1" })

	began := time.Now()
	s.Drain()
	b.eventually("the page is in the drain", func() bool { return b.text("#state") == "draining: waiting" })
	if n := b.count("#connections tbody tr"); n != connections || b.text("#left") != "200" {
		t.Errorf("the table has %d connections, and %s are left", n, b.text("#left"))
	}
	if first := b.texts("#connections tbody tr:first-child td"); first[0] != stream.LocalAddr().String() || first[1] != "GET /export" || first[3] != "active" {
		t.Errorf("the first connection is %q", first)
	}
	if text := b.text("#drain"); !strings.Contains(text, "until") || !strings.Contains(text, "left)") {
		t.Errorf("the drain is %q", text)
	}
	visit := func(clients []*clienttest.Conn) {
		for _, c := range clients {
			c.ExpectClosed(c.Get("/"))
			c.Close()
		}
	}
	visit(clients[half:])
	b.eventually("half of them are left", func() bool { return b.text("#left") == "100" && b.count("#connections tbody tr") == half })
	b.show("drain")
	// Who reads the table is left where he is by the updates.
	ask[any](b, "(document.getElementById('scroll-connections').scrollTop = 100, null)")
	visit(clients[quarter:half])
	b.eventually("another half has gone", func() bool { return b.text("#left") == "50" })
	if top := ask[int](b, "document.getElementById('scroll-connections').scrollTop"); top != 100 {
		t.Errorf("the table was scrolled to 100, and is at %d", top)
	}
	visit(clients[1:quarter])
	b.eventually("the stream is left", func() bool { return b.text("#left") == "1" && time.Since(began) >= drain })
	close(leave)
	stream.ExpectClosed(stream.Receive())
	stream.Close()

	report := s.MustEnd()
	b.eventually("the drain is over", func() bool { return b.text("#state") == "draining: drained" })
	if rule, ended := b.row("#rules", "drain"), b.row("#ended", "announced"); report.Announced != connections || rule[2] != "200" || ended[1] != "200" {
		t.Errorf("%q, %q, and the report is %v", rule, ended, report)
	}
	b.show("drained")
	b.expectClean()
}

// hostile is what must not get into a page as it is.
const hostile = "<script>document.title=\"mine\"</script>\"'><img/src=x/onerror=document.title=\"mine\">{{.}}\u202e"

func TestWhatAClientSendsIsTextAndNoMore(t *testing.T) {
	path := "/" + strings.ReplaceAll(hostile, "\u202e", "%E2%80%AE") + strings.Repeat("/far", 200)
	ctl := servertest.NewController(t,
		core.OnMatch(hostile, func(r *http.Request) bool { return strings.Contains(r.UserAgent(), "<script>") }),
		core.OnRoutes("/"+hostile))
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	address := servertest.ServeTracked(t, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.NewResponseController(w).Flush()
		close(begun)
		<-release
	})), ctl, servertest.Cleartext)
	clienttest.Dial(t, address).Send(clienttest.Request("GET", path, "User-Agent: "+hostile, "Referer: "+hostile))
	clienttest.Receive(t, "the handler", begun)
	ctl.Drain()
	b := open(t, serve(t, ctl, statuspage.Controls("token")))
	b.eventually("the page has updated itself", func() bool { return b.text("#fresh") == "live" && b.count("#connections tbody tr") == 1 })
	if title := ask[string](b, "document.title"); !strings.HasPrefix(title, "politeclose") {
		t.Errorf("the title is %q", title)
	}
	if n := b.count("img") + b.count("main script"); n != 0 {
		t.Errorf("%d elements are a client's", n)
	}
	cells := b.texts("#connections tbody td")
	if !strings.HasPrefix(cells[1], "GET /<script>") || !strings.Contains(cells[7], "<script>") {
		t.Errorf("the connection is %q", cells)
	}
	b.show("hostile")
	b.expectClean()
}

func TestTheControlsDrainAndResume(t *testing.T) {
	ctl := servertest.NewController(t)
	b := open(t, serve(t, ctl, statuspage.Controls("correct horse")))
	submit := func(token, action string) {
		t.Helper()
		ask[any](b, fmt.Sprintf("(document.querySelector('[name=token]').value = %q, null)", token))
		b.submit("[value=" + action + "]")
	}
	submit("wrong", "drain")
	b.eventually("it is refused", func() bool { return b.text("#refusal") == "That is not the token." })
	if ctl.Draining() {
		t.Error("it drains without the token")
	}
	b.eventually("the browser has said that it got a 403", b.forgive)
	submit("correct horse", "drain")
	b.eventually("the page says so", func() bool { return b.text("#state") == "draining: announcing" })
	b.show("controls")
	submit("correct horse", "resume")
	b.eventually("the page says so", func() bool { return b.text("#state") == "serving" })
	if ctl.Draining() {
		t.Error("it still drains")
	}
	b.expectClean()
}

func TestThePageCanBeReadWithoutJavaScript(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	ctl.Drain()
	b := open(t, serve(t, ctl), chromedp.Flag("blink-settings", "scriptEnabled=false"))
	if state := b.text("#state"); state != "draining: announcing" || b.text("#fresh") != "" {
		t.Errorf("the state is %q, and the page says %q", state, b.text("#fresh"))
	}
	ctl.Resume()
	b.eventually("it refreshes", func() bool { return b.text("#state") == "serving" })
	b.expectClean()
}

func TestAServerThatDoesNotAnswerIsSeen(t *testing.T) {
	srv := httptest.NewServer(statuspage.Handler(servertest.NewController(t)))
	b := open(t, srv.URL)
	srv.Close()
	b.eventually("it says so", func() bool { return strings.HasPrefix(b.text("#fresh"), "no answer since") })
	if state := b.text("#state"); state != "serving" {
		t.Errorf("what was there last is gone: %q", state)
	}
}
