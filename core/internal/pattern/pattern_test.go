package pattern

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func newSet(t testing.TB, patterns ...string) *Set {
	t.Helper()
	var s Set
	if err := s.Add("OnRoutes", patterns); err != nil {
		t.Fatal(err)
	}
	return &s
}

func request(method, target string) Request {
	return taken(httptest.NewRequest(method, target, nil))
}

// taken is what core takes from a request.
func taken(r *http.Request) Request {
	q := Request{Method: r.Method, Host: r.Host, Path: r.URL.Path}
	if r.URL.RawPath != "" {
		q.EscapedPath = r.URL.EscapedPath()
	}
	return q
}

// sensitive and exempt are the questions of OnRoutes and of Exempt.
func (s *Set) sensitive(route string, r Request) bool {
	return s.LooseRoute(route, r, Each) || s.LoosePath(r, Each)
}

func (s *Set) exempt(route string, r Request) bool {
	if route != "" {
		return s.ExactRoute(route, r, Each)
	}
	return s.ExactPath(r, Each)
}

func TestPatternsAgainstRequests(t *testing.T) {
	for _, c := range []struct {
		name      string
		pattern   string
		method    string
		target    string
		route     string
		sensitive bool
		exempt    bool
	}{
		{"the path itself", "/login", "GET", "/login", "", true, true},
		{"another path", "/login", "GET", "/logout", "", false, false},
		{"a longer path", "/login", "GET", "/login/x", "", false, false},
		{"a trailing slash is no escape, and no exemption", "/login", "GET", "/login/", "", true, false},
		{"a missing trailing slash is none either", "/admin/", "GET", "/admin", "", true, false},
		{"double slashes", "/login", "GET", "http://h//login", "", true, true},
		{"dots", "/login", "GET", "/x/../login", "", true, true},
		{"an encoded letter", "/login", "GET", "/%6Cogin", "", true, true},
		{"an encoded slash is not a separator to routers of encoded paths", "/a/{x}", "GET", "/a/b%2Fc", "", true, true},
		{"an encoded slash is a separator to routers of decoded paths", "/a/b/c", "GET", "/a/b%2Fc", "", true, true},
		{"a subtree", "/admin/", "GET", "/admin/users/7", "", true, true},
		{"everything below a wildcard", "/files/{rest...}", "GET", "/files/a/b", "", true, true},
		{"a wildcard is one segment", "/users/{id}", "GET", "/users/7", "", true, true},
		{"a wildcard is not two segments", "/users/{id}", "GET", "/users/7/x", "", false, false},
		{"a literal is tried before a wildcard, and the wildcard after it", "/{a}/x", "GET", "/b/x", "", true, true},
		{"the method", "POST /login", "POST", "/login", "", true, true},
		{"another method", "POST /login", "GET", "/login", "", false, false},
		{"HEAD is GET", "GET /login", "HEAD", "/login", "", true, true},
		{"the host, whatever its port", "example.com/login", "GET", "http://example.com:8080/login", "", true, true},
		{"another host", "example.com/login", "GET", "http://example.org/login", "", false, false},
		{"only the slash", "/x/{$}", "GET", "/x/", "", true, true},
		{"only the slash, not below", "/x/{$}", "GET", "/x/y", "", false, false},
		{"the root alone", "/{$}", "GET", "/", "", true, true},
		{"everything", "/", "GET", "/what/ever", "", true, true},
		{"a request for *", "/", "OPTIONS", "*", "", true, true},

		{"the route where the path was rewritten", "/login", "GET", "/v1/login", "/login", true, true},
		{"the path where the route is another: sensitive, but not exempt", "/login", "GET", "/login", "/{page}", true, false},
		{"net/http's own route", "POST /login", "POST", "/x", "POST /login", true, true},
		{"net/http's route with a host", "/login", "GET", "/x", "GET example.com/login", true, true},
		{"gin's parameter", "/users/:id", "GET", "/users/7", "/users/:id", true, true},
		{"gin's catch-all", "/files/*rest", "GET", "/files/a/b", "/files/*rest", true, true},
		{"a catch-all says nothing about paths", "/files/*rest", "GET", "/files/a", "", false, false},
		{"chi's catch-all covers what is mounted there", "/admin/*", "GET", "/admin/users", "/admin/users", true, true},
		{"chi's regular expression", "/users/{id:[0-9]+}", "GET", "/users/7", "/users/{id:[0-9]+}", true, true},
		{"chi's regular expression says nothing about paths", "/users/{id:[0-9]+}", "GET", "/users/7", "", false, false},
		{"a subtree covers the routes below it", "/admin/", "GET", "/x", "/admin/users/{id}", true, true},
		{"a wildcard covers a parameter", "/users/{id}", "GET", "/x", "/users/:name", true, true},
		{"a wildcard does not cover a catch-all", "/users/{id}", "GET", "/users/a/b", "/users/*", false, false},
		{"chi takes a trailing slash off", "/health/", "GET", "/health/", "/health", true, true},
		{"chi takes a trailing slash off, and {$} means it", "/health/{$}", "GET", "/health/", "/health", true, true},
		{"chi takes a trailing slash off a wildcard", "/w/{id}/", "GET", "/w/7/", "/w/{id}", true, true},
		{"chi takes a trailing slash off a regular expression", "/t/{id:[0-9]+}/", "GET", "/t/7/", "/t/{id:[0-9]+}", true, true},
		{"the route with a slash is another one", "/health", "GET", "/x", "/health/", true, false},
		{"below chi's regular expression", "/users/{id:[0-9]+}/*", "GET", "/users/7/keys", "/users/{id:[0-9]+}/keys", true, true},
		{"below chi's regular expression, with a slash", "/users/{id:[0-9]+}/", "GET", "/users/7/keys/8", "/users/{id:[0-9]+}/keys/{key}", true, true},
		{"below another regular expression", "/users/{id:[0-9]+}/*", "GET", "/users/x/keys", "/users/{id:[a-z]+}/keys", false, false},
		{"a subtree's name is a whole segment", "/users/{id:[0-9]+}/", "GET", "/x", "/users/{id:[0-9]+}x", false, false},
		{"a slash within chi's regular expression", "/d/{day:[0-9]+/*}", "GET", "/d/7", "/d/7", false, false},
		{"a route with an empty segment", "/users/{id}", "GET", "/x", "/users//", true, false},
		{"net/http's route, percent-encoded", "/caf%C3%A9", "GET", "/caf%C3%A9", "/caf%C3%A9", true, true},
		{"net/http's route, percent-encoded where the pattern is not", "/café", "GET", "/x", "GET /caf%C3%A9", true, true},
		{"net/http's route with an encoded slash", "/a%2Fb", "GET", "/a%2Fb", "/a%2Fb", true, true},
		{"an encoded slash within a subtree", "/a%2Fb/", "GET", "/a%2Fb/c", "/a%2Fb/{x}", true, true},
		{"an encoded slash is another route than a slash", "/a%2Fb", "GET", "/x", "/a/b", false, false},
		{"an encoded brace is no wildcard", "/{id}", "GET", "/x", "/%7Bid%7D", true, false},
		{"… and a wildcard is no encoded brace", "/%7Bid%7D", "GET", "/x", "/{id}", false, false},
		{"an encoded colon is no parameter", "/%3Aid", "GET", "/x", "/:id", false, false},
		{"a percent sign that encodes nothing", "/100%", "GET", "/100%25", "/100%", true, true},
		{"a wildcard exempts no other route", "/users/{id}", "GET", "/users/me", "/users/me", true, false},
		{"a wildcard exempts a route with a parameter", "/users/{id}", "GET", "/users/7", "/users/:id", true, true},
		{"a host in capitals", "example.com/login", "GET", "http://EXAMPLE.com/login", "", true, false},
		{"a host with the root's dot", "example.com/login", "GET", "http://example.com./login", "", true, false},
		{"net/http's end-of-path", "/x/{$}", "GET", "/y", "/x/{$}", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, r := newSet(t, c.pattern), request(c.method, c.target)
			if got := s.sensitive(c.route, r); got != c.sensitive {
				t.Errorf("OnRoutes(%q) on %s %s with route %q: %v, want %v", c.pattern, c.method, c.target, c.route, got, c.sensitive)
			}
			if got := s.exempt(c.route, r); got != c.exempt {
				t.Errorf("Exempt(%q) on %s %s with route %q: %v, want %v", c.pattern, c.method, c.target, c.route, got, c.exempt)
			}
		})
	}
}

func TestAMalformedOrDuplicatePatternIsAnError(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		names    string
	}{
		{nil, "no pattern"},
		{[]string{""}, `""`},
		{[]string{"login"}, `"login"`},
		{[]string{"POST /users/{id:[0-9]+}"}, `"POST /users/{id:[0-9]+}"`},
		{[]string{"//login"}, `"//login" can match no request`},
		{[]string{"/a/../login"}, `"/a/../login" can match no request`},
		{[]string{"/login", "/login"}, `"/login" is given twice`},
		{[]string{"/users/{id}", "/users/{name}"}, `"/users/{name}" is given twice, or means the same`},
		{[]string{"/users/{id:[0-9]+}", "/users/{id:[0-9]+}"}, "given twice"},
		{[]string{"/users/{id:[0-9]+}/", "/users/{id:[0-9]+}/*"}, "means the same"},
		{[]string{"/users/{id"}, `"/users/{id" has a brace`},
		{[]string{"post /login"}, `"post /login" can match no request but one with that very method`},
	} {
		for _, option := range []string{"OnRoutes", "Exempt"} {
			var s Set
			err := s.Add(option, c.patterns)
			if err == nil || !strings.Contains(err.Error(), c.names) || !strings.Contains(err.Error(), option) {
				t.Errorf("%s(%q): error %v, want one that names the option and %s", option, c.patterns, err, c.names)
			}
		}
	}
	if err := newSet(t, "/a").Add("OnRoutes", []string{"/a"}); err == nil {
		t.Error("a pattern given twice in two options is accepted")
	}
}

func TestPatternsThatOverlapForServeMuxAreAccepted(t *testing.T) {
	s := newSet(t, "/a/{x}", "/{y}/b", "/a/b", "GET /a/{x}")
	if !s.sensitive("", request("GET", "/a/b")) {
		t.Error("/a/b is not sensitive")
	}
}

// FuzzRoutePattern compares with http.ServeMux: what the mux serves with a
// pattern must be sensitive by that pattern, and what is exempt must be served
// with it.
func FuzzRoutePattern(f *testing.F) {
	for _, p := range []string{"/login", "/a/", "/a/{x}", "/a/{x}/b", "/{rest...}", "POST /x", "h.com/x", "/{$}", "/a%2Fb", "/%6C"} {
		for _, target := range []string{"/login", "//login", "/login/", "/%6Cogin", "/a/b%2Fc", "/a/../login", "/.", "/a/.", "/a//b", "*", "/a%2Fb", "/{x}", "/a/%2e%2e/login"} {
			f.Add(p, "GET", target)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, method, target string) {
		var s Set
		if s.Add("OnRoutes", []string{pattern}) != nil || len(s.routes)+len(s.subtrees) > 0 || strings.Contains(pattern, "/*") {
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" || method == "CONNECT" {
			return
		}
		r := &http.Request{Method: method, URL: u, Host: "h.com", Header: http.Header{}}
		q := taken(r)
		mux := http.NewServeMux()
		mux.Handle(pattern, http.NotFoundHandler())
		_, served := mux.Handler(r)
		sensitive, exempt := s.sensitive("", q), s.exempt("", q)
		if served != "" && !sensitive {
			t.Errorf("the mux serves %s %q with %q, which OnRoutes does not see", method, target, pattern)
		}
		if exempt && !sensitive {
			t.Errorf("%s %q is exempt by %q and not sensitive by it", method, target, pattern)
		}
		clean := u.Path == path.Clean(u.Path) || u.Path == path.Clean(u.Path)+"/"
		if exempt && served == "" && clean && u.RawPath == "" && strings.HasPrefix(u.Path, "/") {
			t.Errorf("%s %q is exempt by %q, with which the mux does not serve it", method, target, pattern)
		}
	})
}

// FuzzRouteOfItself: a pattern that is given letter for letter as the router
// has it matches that route, in both strictnesses.
func FuzzRouteOfItself(f *testing.F) {
	for _, p := range []string{
		"/", "/login", "POST /login", "h.com/x/", "/{$}", "/x/{$}", "/a/{x}/b", "/f/{rest...}", "/users/:id", "/a/*/b", "/f/*", "/f/*rest",
		"/u/{id:[0-9]+}", "/u/{id:[0-9]+}/*", "/caf%C3%A9", "/a%2Fb/", "/%7Bx%7D", "/%2A", "/%3Aid/x", "/100%",
	} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		var s Set
		if s.Add("Exempt", []string{pattern}) != nil {
			return
		}
		r := Request{Method: "GET"}
		host := pattern
		if space := strings.IndexAny(pattern, " \t"); space >= 0 && !strings.HasPrefix(pattern, "/") {
			r.Method, host = pattern[:space], strings.TrimLeft(pattern[space:], " \t")
		}
		if r.Host, _, _ = strings.Cut(host, "/"); strings.Contains(r.Host, ":") {
			return // hosts are compared without their port, by net/http as well
		}
		if !s.LooseRoute(pattern, r, Each) || !s.ExactRoute(pattern, r, Each) {
			t.Errorf("%q does not match itself", pattern)
		}
	})
}

func TestTheExamplesOfThePackageComment(t *testing.T) {
	source, err := os.ReadFile("pattern.go")
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]func(s *Set, what string) bool{
		"LoosePath":  func(s *Set, what string) bool { return s.LoosePath(onHost(what), Each) },
		"ExactPath":  func(s *Set, what string) bool { return s.ExactPath(onHost(what), Each) },
		"LooseRoute": func(s *Set, what string) bool { return s.LooseRoute(what, request("POST", "/x"), Each) },
		"ExactRoute": func(s *Set, what string) bool { return s.ExactRoute(what, request("POST", "/x"), Each) },
	}
	line := regexp.MustCompile(`^//\t +(\S+)\s{2,}(\S+(?: \S+)?)\s{2,}(yes|no)\b`)
	found, ask := 0, (func(*Set, string) bool)(nil)
	for _, row := range regexp.MustCompile(`(?m)^//\t.*$`).FindAllString(string(source), -1) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(row, "//\t"), ":"); ok && methods[name] != nil {
			ask = methods[name]
		}
		m := line.FindStringSubmatch(row)
		if m == nil {
			continue
		}
		found++
		if got := ask(newSet(t, m[1]), m[2]); got != (m[3] == "yes") {
			t.Errorf("%v, not as in %s", got, row)
		}
	}
	if found != 24 {
		t.Errorf("%d examples found", found)
	}
}

// onHost is a request for a path that may have a host before it.
func onHost(target string) Request {
	host, path, _ := strings.Cut(target, "/")
	return Request{Method: "GET", Host: host, Path: "/" + path}
}

func TestARequestWithoutAPathIsOneForTheRoot(t *testing.T) {
	s := newSet(t, "/{$}")
	if !s.LoosePath(Request{}, Each) || !s.ExactPath(Request{}, Each) || s.LooseRoute("", Request{}, Each) {
		t.Error("an empty path is not the root, or an empty route is a route")
	}
}

func TestEachPatternThatMatchesIsCounted(t *testing.T) {
	s := newSet(t, "/admin/", "/admin/users", "/users/:id", "/w/{id:[0-9]+}", "/w/*")
	for range 2 {
		s.LoosePath(request("GET", "/admin/users"), Each)
	}
	s.LooseRoute("/w/{id:[0-9]+}", request("GET", "/w/7"), Each)
	s.LoosePath(request("GET", "/users/7"), Each)
	want := []Count{{"/admin/", 2}, {"/admin/users", 2}, {"/users/:id", 0}, {"/w/{id:[0-9]+}", 1}, {"/w/*", 1}}
	if got := s.Counts(); !slices.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	s := newSet(t, "/login", "POST h.com/admin/{id}", "/w/{id:[0-9]+}/*")
	r := Request{Method: "POST", Host: "h.com", Path: "/admin/7"}
	allocations := testing.AllocsPerRun(100, func() {
		if !s.LoosePath(r, Each) || !s.ExactRoute("POST h.com/admin/{id}", r, Each) || !s.LooseRoute("/w/{id:[0-9]+}/x", r, Each) {
			t.Error("no match")
		}
	})
	if allocations > 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// BenchmarkSet has a question for each view that leaves at the first segment,
// and one that matches.
func BenchmarkSet(b *testing.B) {
	s := newSet(b, "/login", "POST /admin/{id}", "/internal/", "/w/{id:[0-9]+}/*")
	for _, c := range []struct {
		name string
		ask  func(Request) bool
		path string
	}{
		{"path", func(r Request) bool { return s.LoosePath(r, Each) }, "/api/users/7"},
		{"route", func(r Request) bool { return s.LooseRoute("GET /api/users/{id}", r, Each) }, ""},
		{"match", func(r Request) bool { return s.LoosePath(r, Each) }, "/admin/7"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			r := Request{Method: "POST", Host: "example.com", Path: c.path}
			for b.Loop() {
				c.ask(r)
			}
		})
	}
}
