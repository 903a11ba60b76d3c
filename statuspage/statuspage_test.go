package statuspage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/statuspage"
	"github.com/politeclose/politeclose/stdlib"
)

const token = "correct horse"

// serve serves the page at a path of its own until the test ends.
func serve(t testing.TB, ctl *core.Controller, opts ...statuspage.Option) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/debug/close", statuspage.Handler(ctl, opts...))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL + "/debug/close"
}

// ask makes a request, and returns the response with its body.
func ask(t testing.TB, method, address, body string, lines ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

func TestThePageIsForItsOriginAndForNow(t *testing.T) {
	address := serve(t, servertest.NewController(t))
	for _, accept := range []string{"text/html", "application/json"} {
		response, _ := ask(t, "GET", address, "", "Accept: "+accept)
		for name, want := range map[string]string{
			"Cache-Control":          "no-store",
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
			"Vary":                   "Accept",
		} {
			if got := response.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", accept, name, got, want)
			}
		}
		policy := response.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("the policy %q lacks %q", policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || strings.Contains(policy, "http") {
			t.Errorf("the policy %q allows too much", policy)
		}
	}
}

func TestWhoWantsJSONGetsIt(t *testing.T) {
	address := serve(t, servertest.NewController(t))
	for accept, want := range map[string]string{
		"":                                "text/html; charset=utf-8",
		"*/*":                             "text/html; charset=utf-8",
		"text/html,application/json":      "text/html; charset=utf-8",
		"text/html,*/*;q=0.8":             "text/html; charset=utf-8",
		"application/json;q=0, */*":       "text/html; charset=utf-8",
		"text/plain":                      "text/html; charset=utf-8",
		"application/json":                "application/json",
		"Application/JSON":                "application/json",
		"application/*":                   "application/json",
		"text/html;q=0.5,application/*":   "application/json",
		"application/json, text/plain, *": "application/json",
		"*/*;q=0.1, application/json":     "application/json",
		"application/json;q=nonsense":     "text/html; charset=utf-8",
	} {
		if response, _ := ask(t, "GET", address, "", "Accept: "+accept); response.Header.Get("Content-Type") != want {
			t.Errorf("Accept: %q is answered with %q, want %q", accept, response.Header.Get("Content-Type"), want)
		}
	}
}

// document is what a reader of the JSON sees.
type document struct {
	Host   string
	Stats  core.Stats
	Recent []struct{ Closes map[string]int } `json:"recent_closes"`
	Open   []struct {
		ID       uint64
		Remote   string
		Protocol string
		State    string
		Age      float64 `json:"age_seconds"`
		Ran      float64 `json:"ran_seconds"`
		Requests int
		Route    string
		Reason   string
	} `json:"connections"`
	Refused string
}

func read(t testing.TB, address string) (d document) {
	t.Helper()
	_, text := ask(t, "GET", address, "", "Accept: application/json")
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return d
}

// busy serves with ctl, with a request for /hang under way, and returns its client.
func busy(t testing.TB, ctl *core.Controller, target string) *clienttest.Conn {
	t.Helper()
	begun, release := make(chan struct{}, 1), make(chan struct{})
	srv := servertest.NewHTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	}))
	address := servertest.ServeTracked(t, srv, ctl, servertest.Cleartext)
	t.Cleanup(func() { close(release) })
	client := clienttest.Dial(t, address)
	client.Send(clienttest.Request("GET", target, "User-Agent: "+hostile))
	clienttest.Receive(t, "the handler", begun)
	return client
}

// hostile is what must not get into a page as it is, as a request can have it.
const hostile = `<script>alert(1)</script>"'><img/src=x/onerror=alert(2)>{{.}}`

func TestWhileDrainingThePageHasTheConnectionsThatAreOpen(t *testing.T) {
	ctl := servertest.NewController(t)
	client := busy(t, ctl, "/hang?secret=1")
	address := serve(t, ctl)
	if d := read(t, address); d.Stats.Draining || d.Open != nil || d.Stats.Active != 1 {
		t.Errorf("before a drain: %+v", d)
	}
	ctl.Drain()
	d := read(t, address)
	if !d.Stats.Draining || d.Stats.Drain.Phase != core.PhaseAnnouncing || len(d.Open) != 1 || len(d.Recent) != 30 {
		t.Fatalf("while draining: %+v", d)
	}
	if c := d.Open[0]; c.Remote != client.LocalAddr().String() || c.Route != "GET /hang" || c.State != "active" || c.Requests != 1 || c.Age <= 0 || c.Ran <= 0 || c.ID == 0 {
		t.Errorf("the connection is %+v", c)
	}
	_, page := ask(t, "GET", address, "")
	for _, want := range []string{client.LocalAddr().String(), "GET /hang", "draining: announcing"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "secret") {
		t.Error("the page has the query of a request")
	}
}

func TestNothingThatOthersSendGetsIntoThePageAsItIs(t *testing.T) {
	never := core.Signal{Name: hostile, Hard: 1, Read: func(core.Snapshot) (float64, error) { return 0, nil }}
	ctl := servertest.NewController(t,
		core.OnMatch(hostile, func(*http.Request) bool { return true }),
		core.OnRoutes("/"+hostile), core.OnLoad(never))
	busy(t, ctl, "/"+hostile)
	ctl.Drain()
	address := serve(t, ctl, statuspage.Controls(token))
	_, page := ask(t, "GET", address+"?"+url.QueryEscape(hostile), "", "User-Agent: "+hostile, "Referer: "+hostile)
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
		t.Errorf("the page has it as it is")
	}
	if n := strings.Count(page, "&lt;script&gt;alert(1)"); n < 4 {
		t.Errorf("it is shown %d times, want the route under way, the reason, the pattern and the signal", n)
	}
	_, refusal := ask(t, "POST", address, url.Values{"action": {hostile}, "token": {hostile}}.Encode())
	if strings.Contains(refusal, "<script>alert") {
		t.Errorf("the refusal has it as it is")
	}
}

func TestEachMethodButTheUsualIsRefused(t *testing.T) {
	ctl := servertest.NewController(t)
	shows, controls := serve(t, ctl), serve(t, ctl, statuspage.Controls(token))
	for _, test := range []struct {
		address, method string
		want            int
		allow           string
	}{
		{shows, "GET", http.StatusOK, ""},
		{shows, "HEAD", http.StatusOK, ""},
		{shows, "POST", http.StatusMethodNotAllowed, "GET, HEAD"},
		{controls, "PUT", http.StatusMethodNotAllowed, "GET, HEAD, POST"},
		{serve(t, ctl, statuspage.Controls("")), "POST", http.StatusMethodNotAllowed, "GET, HEAD"},
	} {
		response, body := ask(t, test.method, test.address, "")
		if response.StatusCode != test.want || response.Header.Get("Allow") != test.allow || test.method == "HEAD" && body != "" {
			t.Errorf("%s: %d, Allow %q; want %d, %q", test.method, response.StatusCode, response.Header.Get("Allow"), test.want, test.allow)
		}
	}
	if _, page := ask(t, "GET", shows, ""); strings.Contains(page, "<form") {
		t.Error("a page without Controls has a form")
	}
}

func TestOnlyWhoHasTheTokenControlsAndFromThePageItself(t *testing.T) {
	for _, test := range []struct {
		name     string
		form     url.Values
		lines    []string
		status   int
		draining bool
	}{
		{"with the token", url.Values{"action": {"drain"}, "token": {token}}, nil, 303, true},
		{"with the token as a header", url.Values{"action": {"drain"}}, []string{"Authorization: bearer " + token}, 303, true},
		{"from the page", url.Values{"action": {"drain"}, "token": {token}}, []string{"Sec-Fetch-Site: same-origin"}, 303, true},
		{"without the token", url.Values{"action": {"drain"}}, nil, 403, false},
		{"with another token", url.Values{"action": {"drain"}, "token": {token + "!"}}, nil, 403, false},
		{"with a part of the token", url.Values{"action": {"drain"}, "token": {token[:5]}}, nil, 403, false},
		{"with another token as a header", url.Values{"action": {"drain"}, "token": {token}}, []string{"Authorization: Bearer x"}, 403, false},
		{"from another site", url.Values{"action": {"drain"}, "token": {token}}, []string{"Sec-Fetch-Site: cross-site"}, 403, false},
		{"from another origin", url.Values{"action": {"drain"}, "token": {token}}, []string{"Origin: https://other.example"}, 403, false},
		{"another action", url.Values{"action": {"stop"}, "token": {token}}, nil, 400, false},
		{"a form that is too long", url.Values{"action": {"drain"}, "token": {token}, "more": {strings.Repeat("x", 1<<16)}}, nil, 400, false},
		{"a query in place of a form", nil, nil, 400, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			ctl := servertest.NewController(t, core.Logger(slog.New(slog.NewJSONHandler(&log, nil))))
			address := serve(t, ctl, statuspage.Controls(token))
			if test.form == nil {
				address += "?" + url.Values{"action": {"drain"}, "token": {token}}.Encode()
			}
			response, _ := ask(t, "POST", address, test.form.Encode(), test.lines...)
			if response.StatusCode != test.status || ctl.Draining() != test.draining {
				t.Errorf("%d, draining %v; want %d, %v", response.StatusCode, ctl.Draining(), test.status, test.draining)
			}
			if location := response.Header.Get("Location"); (location == "?") != (test.status == 303) {
				t.Errorf("Location is %q", location)
			}
			var line struct {
				Client string
				Status int
			}
			if err := json.Unmarshal(log.Bytes(), &line); err != nil || !strings.HasPrefix(line.Client, "127.0.0.1:") || line.Status == 0 {
				t.Errorf("logged %q", log.String())
			}
			if strings.Contains(log.String(), token) {
				t.Errorf("the log has the token: %s", log.String())
			}
		})
	}
}

func TestResumeIsRefusedWhereItIsTooLate(t *testing.T) {
	ctl := servertest.NewController(t)
	address := serve(t, ctl, statuspage.Controls(token))
	resume := url.Values{"action": {"resume"}, "token": {token}}.Encode()
	ctl.Drain()
	if response, _ := ask(t, "POST", address, resume); response.StatusCode != http.StatusSeeOther || ctl.Draining() {
		t.Errorf("%d, draining %v", response.StatusCode, ctl.Draining())
	}
	ctl.Drain()
	ctl.ListenerClosed()
	response, text := ask(t, "POST", address, resume, "Accept: application/json")
	var d document
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusConflict || d.Refused == "" || !ctl.Draining() {
		t.Errorf("%d, %+v", response.StatusCode, d)
	}
}

func TestWithoutAControllerThereIsNoPage(t *testing.T) {
	for _, opts := range [][]statuspage.Option{nil, {nil}, {statuspage.Controls(token)}} {
		address := serve(t, nil, opts...)
		for _, method := range []string{"GET", "POST"} {
			if response, text := ask(t, method, address, ""); response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "no Controller") {
				t.Errorf("%s: %d %q", method, response.StatusCode, text)
			}
		}
	}
}

func TestARuleThatCannotWorkIsSeen(t *testing.T) {
	ctl := servertest.NewController(t)
	address := serve(t, ctl)
	if _, page := ask(t, "GET", address, ""); strings.Contains(page, "cannot work") {
		t.Error("the page says that a rule cannot work")
	}
	ctl.Impair("nobody tells it of <connections>")
	if _, page := ask(t, "GET", address, ""); !strings.Contains(page, "nobody tells it of &lt;connections&gt;") {
		t.Error("the page does not say which rule cannot work")
	}
}

// 20,000 connections are 20,000 rows that nobody can read.
func TestTheTableOfADrainIsBounded(t *testing.T) {
	const many = 20_000
	ctl := servertest.NewController(t)
	all := make([]core.Connection, many)
	ctl.ListConnections(func(yield func(*core.Connection) bool) {
		for i := range all {
			if !yield(&all[i]) {
				return
			}
		}
	})
	for i := range all {
		all[i].Open(ctl, nil)
	}
	ctl.Drain()
	address := serve(t, ctl)
	_, page := ask(t, "GET", address, "")
	d := read(t, address)
	if len(d.Open) != 200 || strings.Count(page, "<tr>") > 300 || !strings.Contains(page, "And 19800 more") {
		t.Errorf("%d connections in JSON, a page of %d bytes", len(d.Open), len(page))
	}
}

func ExampleHandler() {
	ctl, err := core.New()
	if err != nil {
		panic(err)
	}
	admin := http.NewServeMux() // of another server than the one that ctl drains
	admin.Handle("GET /livez", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") }))
	admin.Handle("GET /readyz", stdlib.Ready(ctl))
	admin.Handle("/", statuspage.Handler(ctl, statuspage.Controls("a secret of yours")))
	// Output:
}
