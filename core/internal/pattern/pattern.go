// Package pattern compares requests with the patterns of core's OnRoutes and
// Exempt.
//
// A pattern that parses as one of [http.ServeMux] means the same thing here.
// One that does not, but begins with a slash, is a router's own and is compared
// with the router's route as a string.
//
// # Two views
//
// A request is seen in two ways, and they are never mixed:
//
//   - its path, as the client wrote it: "/users/7". Paths are cleaned as
//     ServeMux does, so "//users/./7" is the same one.
//   - its route, the pattern under which the router has registered what served
//     it: "/users/{id}", "GET example.com/users/{id}", or "/users/:id".
//
// Both may be percent-encoded; "/caf%C3%A9" and "/café" are the same. An
// encoded slash may or may not end a segment, since routers do not agree, so a
// path with one is tried in both ways.
//
// # Two degrees of strictness
//
// OnRoutes is loose: what reaches a handler must not go past the rule, so it
// takes what might be the same thing for the same. Exempt is exact: only what
// is surely meant may be spared. These are the four combinations:
//
//	LoosePath: pattern, path, whether it matches
//	    /login       /login         yes
//	    /login       /login/        yes: a trailing slash makes no difference
//	    /admin/      /admin         yes: … nor does a missing one
//	    /users/{id}  /users/me      yes: a wildcard is any one segment
//	    h.com/login  H.COM./login   yes: it is the same host
//	    /users/:id   /users/7       no: to ServeMux ":id" is a literal
//
//	ExactPath: pattern, path, whether it matches
//	    /login       //login        yes: it is cleaned
//	    /login       /login/        no: that may be another handler's
//	    /admin/      /admin         no
//	    /users/{id}  /users/me      yes
//	    h.com/login  H.COM./login   no
//
//	LooseRoute: pattern, route, whether it matches
//	    /login       POST /login    yes: one without a method is for all
//	    h.com/in     GET h.com/in   yes: the router has compared the host
//	    /login       /login/        yes
//	    /admin/      /admin/u/:id   yes: it is below
//	    /users/:id   /users/:id     yes: to the letter
//	    /users/{id}  /users/:user   yes: a wildcard covers a parameter,
//	    /users/{id}  /users/me      yes: … and a literal,
//	    /users/{id}  /users/*       no: … but no more than a segment
//
//	ExactRoute: pattern, route, whether it matches
//	    /login       POST /login    yes
//	    /login       /login/        no
//	    /login/      /login         yes: chi takes the slash off
//	    /users/{id}  /users/:user   yes
//	    /users/{id}  /users/me      no: that is another route
//
// In all of them a pattern's method and host are compared with the request's
// own, and GET includes HEAD. LooseRoute takes those of the route as well, which
// the router has compared with the request as it was then: the handler may have
// given it others since.
package pattern

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// Request is what patterns ask about a request besides its route. It is a copy,
// so that it can be taken before a handler changes the request.
type Request struct {
	Method, Host string
	Path         string // decoded, as in url.URL; "" is like "/"
	// EscapedPath is the path as the client wrote it, where encoding Path gives
	// something else, such as an encoded slash: where url.URL has a RawPath.
	EscapedPath string
	// RouteMethod is the method as the router has compared it, where that is
	// another one by then and the route does not say it. LooseRoute takes it as
	// well.
	RouteMethod string
}

// Tally says which patterns a question counts a match for.
type Tally uint8

// The tallies.
const (
	Each   Tally = iota // every one that matches
	Unseen              // those that have not matched before, for a question that changes nothing
	None                // none, for a question that will be asked again
)

// Set is the patterns of an option. It answers for any number of them at the
// cost of one: a tree with a level per path segment, walked once. Most requests
// leave it at the first level. There is no cache of answers, because a walk
// costs less than a look-up in one and needs no bound.
//
// The zero value is empty. Matching allocates only for a route or a path that
// is percent-encoded, and may be done by many goroutines at once, but not while
// patterns are added.
type Set struct {
	patterns []*counted
	tree     node
	// Router patterns that are not net/http's, compared as strings: the whole
	// route, or the part of it before a slash where everything below is meant.
	routes, subtrees map[string]*counted
	conditional      bool // one of patterns has a method or a host
	byHost           bool // one of patterns has a host

	atPaths, atRoutes Glance // all that a path or a route of the set may look like
}

// counted is a pattern and how often it has matched.
type counted struct {
	pattern string
	matches atomic.Uint64
}

// Count says how often a pattern has matched.
type Count struct {
	Pattern string
	Matches uint64
}

// Empty reports whether there is no pattern.
func (s *Set) Empty() bool { return len(s.patterns) == 0 }

// Conditional reports whether a pattern has a method or a host. Where none has,
// nothing but the path of a Request is asked for, and nothing at all with a route.
func (s *Set) Conditional() bool { return s.conditional }

// ByHost reports whether a pattern has a host.
func (s *Set) ByHost() bool { return s.byHost }

// Counts returns the patterns in the order in which they were added.
func (s *Set) Counts() []Count {
	counts := make([]Count, len(s.patterns))
	for i, c := range s.patterns {
		counts[i] = Count{c.pattern, c.matches.Load()}
	}
	return counts
}

// Add adds patterns that were given to the option of this name. Its error names
// the option and the pattern.
func (s *Set) Add(option string, patterns []string) error {
	if len(patterns) == 0 {
		return fmt.Errorf("%s: no pattern given; name at least one, such as %q", option, "/login")
	}
	for _, p := range patterns {
		if err := s.add(p); err != nil {
			return fmt.Errorf("%s: the pattern %q %w", option, p, err)
		}
	}
	return nil
}

var (
	errDuplicate  = errors.New("is given twice, or means the same as an earlier one; give each once")
	errUnbalanced = errors.New("has a brace without its other half")
	errMethodCase = errors.New("can match no request but one with that very method (RFC 9110 §9.1); write it in upper case, such as POST")
	errNotUTF8    = errors.New("is not valid UTF-8, as the value of a metric's label has to be; write other bytes percent-encoded, such as %E9")
	errUnclean    = errors.New("can match no request, because paths are compared after cleaning; leave out empty, . and .. segments")
)

func (s *Set) add(pattern string) error {
	c := &counted{pattern: pattern}
	parseErr := parseServeMux(pattern)
	switch {
	case !utf8.ValidString(pattern):
		return errNotUTF8
	case parseErr == nil:
		if err := s.tree.add(c); err != nil {
			return err
		}
	case strings.HasPrefix(pattern, "/"):
		if err := s.addRoute(c); err != nil {
			return err
		}
	default:
		return fmt.Errorf("is neither a net/http pattern such as %q or %q (%w) nor a router's own, which begins with a slash",
			"/login", "POST /users/{id}", parseErr)
	}
	s.patterns = append(s.patterns, c)
	s.atPaths |= s.tree.glance()
	s.atRoutes |= s.atPaths
	prefix, _, _ := strings.Cut(pattern, "/")
	_, host := conditionsOf(prefix)
	s.conditional = s.conditional || prefix != ""
	s.byHost = s.byHost || host != ""
	return nil
}

// parseServeMux asks net/http itself, whose parser is not exported and panics.
func parseServeMux(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	http.NewServeMux().Handle(pattern, http.NotFoundHandler())
	return nil
}

// addRoute takes a pattern that only its router understands.
func (s *Set) addRoute(c *counted) error {
	if strings.Count(c.pattern, "{") != strings.Count(c.pattern, "}") {
		return errUnbalanced
	}
	if s.routes == nil {
		s.routes, s.subtrees = make(map[string]*counted), make(map[string]*counted)
	}
	set, route := s.routes, c.pattern
	slash := strings.LastIndexByte(route, '/')
	// A brace would be the end of a regular expression with a slash in it.
	if last := route[slash+1:]; last == "" || last[0] == '*' && !strings.Contains(last, "}") {
		set, route = s.subtrees, route[:slash]
	}
	if set[route] != nil {
		return errDuplicate
	}
	set[route] = c
	s.atRoutes |= AtRoute(c.pattern)
	if route == "" {
		s.atRoutes = Anything
	}
	return nil
}

// LoosePath reports whether the request's path is one of the set, for OnRoutes.
func (s *Set) LoosePath(r Request, tally Tally) bool { return s.matchPath(&r, loose, tally) }

// ExactPath reports whether the request's path is one of the set, for Exempt.
func (s *Set) ExactPath(r Request, tally Tally) bool { return s.matchPath(&r, exact, tally) }

// LooseRoute reports whether the route that serves the request is one of the
// set, for OnRoutes. An empty route is none.
func (s *Set) LooseRoute(route string, r Request, tally Tally) bool {
	return route != "" && s.matchRoute(route, &r, loose, tally)
}

// ExactRoute reports whether the route that serves the request is one of the
// set, for Exempt. An empty route is none.
func (s *Set) ExactRoute(route string, r Request, tally Tally) bool {
	return route != "" && s.matchRoute(route, &r, exact, tally)
}

// view says what the string is that the tree is asked about.
type view uint8

const (
	pathView    view = iota // a request's path, decoded
	escapedView             // a request's path, each segment still to be decoded
	routeView               // a router's route, the same
)

// strictness says what counts as the same; the package comment has examples.
type strictness uint8

const (
	loose strictness = iota
	exact
)

// question is one request on its way through the set. Each pattern that matches
// is counted, so that none looks unused beside a wider one.
type question struct {
	*Request
	view    view
	how     strictness
	tally   Tally
	matched bool

	routeMethod, routeHost string // of a route, where those of the request may be others by now
}

func (q *question) match(c *counted) {
	if q.tally == Each || q.tally == Unseen && c.matches.Load() == 0 {
		c.matches.Add(1)
	}
	q.matched = true
}

// AtPaths returns all that a path of the set may look like, for a caller that
// asks several sets at once.
func (s *Set) AtPaths() Glance { return s.atPaths }

// AtRoutes is AtPaths for routes.
func (s *Set) AtRoutes() Glance { return s.atRoutes }

// MissesPath reports of nearly every path that is not one of the set that it is
// not, so that no Request has to be made. The glance is AtPath's, of the decoded
// path; of a request with an EscapedPath it says nothing.
func (s *Set) MissesPath(seen Glance) bool { return s.atPaths&seen == 0 }

// MissesRoute is MissesPath for a route. The glance is AtRoute's.
func (s *Set) MissesRoute(seen Glance) bool { return s.atRoutes&seen == 0 }

func (s *Set) matchPath(r *Request, how strictness, tally Tally) bool {
	if r.EscapedPath == "" && s.MissesPath(AtPath(r.Path)) {
		return false
	}
	q := question{Request: r, view: pathView, how: how, tally: tally}
	s.tree.match(cleanPath(r.Path), &q)
	if !q.matched && r.EscapedPath != "" {
		// Routers that match the encoded path (ServeMux, chi) keep an encoded
		// slash inside its segment.
		q.view = escapedView
		s.tree.match(cleanPath(r.EscapedPath), &q)
	}
	return q.matched
}

func (s *Set) matchRoute(route string, r *Request, how strictness, tally Tally) bool {
	if s.MissesRoute(AtRoute(route)) {
		return false
	}
	slash := strings.IndexByte(route, '/')
	q := question{Request: r, view: routeView, how: how, tally: tally}
	if how == loose {
		q.routeMethod = r.RouteMethod
		if slash > 0 {
			q.routeMethod, q.routeHost = conditionsOf(route[:slash])
		}
	}
	s.matchOwnRoute(route, &q)
	s.tree.match(strings.TrimSuffix(route[slash+1:], "{$}"), &q)
	return q.matched
}

// matchOwnRoute looks a route up among the patterns of addRoute.
func (s *Set) matchOwnRoute(route string, q *question) {
	if c := s.routes[route]; c != nil {
		q.match(c)
	}
	if len(s.subtrees) == 0 {
		return
	}
	for end := len(route); end >= 0; end = strings.LastIndexByte(route[:end], '/') {
		if c := s.subtrees[route[:end]]; c != nil {
			q.match(c)
		}
	}
}
