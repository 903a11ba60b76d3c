package core

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// patternSet answers for any number of patterns at the cost of one: a tree with
// a level per path segment, walked once. Most requests leave it at the first
// level. There is no cache of answers, because a walk costs less than a lookup in
// one and needs no bound.
type patternSet struct {
	given map[string]struct{}
	tree  patternNode
	// Router patterns that are not net/http's, compared as strings: the whole
	// route, or the part of it before a slash where everything below is meant.
	routes, subtrees map[string]struct{}
}

type patternNode struct {
	literal map[string]*patternNode
	looks   uint64       // of the literals: most segments need no look-up
	any     *patternNode // {name}
	here    conditions   // the pattern ends with this segment
	slash   conditions   // it ends with a slash after this segment: /{$}
	below   conditions   // it takes everything below: a trailing slash, {name...}
}

// condition is what a pattern asks beside the path.
type condition struct {
	method, host string
	routeOnly    bool // the pattern is a router's own and says nothing about paths
}

type conditions []condition

func (s *patternSet) empty() bool { return len(s.given) == 0 }

func (s *patternSet) add(option string, patterns []string) error {
	if len(patterns) == 0 {
		return fmt.Errorf("%s: no pattern given; name at least one, such as %q", option, "/login")
	}
	if s.given == nil {
		s.given = make(map[string]struct{})
		s.routes, s.subtrees = make(map[string]struct{}), make(map[string]struct{})
	}
	for _, p := range patterns {
		if err := s.addOne(p); err != nil {
			return fmt.Errorf("%s: the pattern %q %w", option, p, err)
		}
	}
	return nil
}

var errDuplicatePattern = errors.New("is given twice, or means the same as an earlier one; give each once")

var errUnbalancedPattern = errors.New("has a brace without its other half")

var errMethodCase = errors.New("can match no request but one with that very method (RFC 9110 §9.1); write it in upper case, such as POST")

var errUncleanPattern = errors.New("can match no request, because paths are compared after cleaning; leave out empty, . and .. segments")

func (s *patternSet) addOne(pattern string) error {
	if _, ok := s.given[pattern]; ok {
		return errDuplicatePattern
	}
	parseErr := parseServeMux(pattern)
	switch {
	case parseErr == nil:
		if err := s.tree.add(pattern); err != nil {
			return err
		}
	case strings.HasPrefix(pattern, "/"):
		if err := s.addRoute(pattern); err != nil {
			return err
		}
	default:
		return fmt.Errorf("is neither a net/http pattern such as %q or %q (%w) nor a router's own, which begins with a slash",
			"/login", "POST /users/{id}", parseErr)
	}
	s.given[pattern] = struct{}{}
	return nil
}

// addRoute takes a pattern that only its router understands.
func (s *patternSet) addRoute(pattern string) error {
	if strings.Count(pattern, "{") != strings.Count(pattern, "}") {
		return errUnbalancedPattern
	}
	set, route := s.routes, pattern
	slash := strings.LastIndexByte(pattern, '/')
	// A brace would be the end of a regular expression with a slash in it.
	if last := pattern[slash+1:]; last == "" || last[0] == '*' && !strings.Contains(last, "}") {
		set, route = s.subtrees, pattern[:slash]
	}
	if _, ok := set[route]; ok {
		return errDuplicatePattern
	}
	set[route] = struct{}{}
	return nil
}

// hasRoute looks a router's pattern up among those of addRoute.
func (s *patternSet) hasRoute(route string) bool {
	if _, ok := s.routes[route]; ok {
		return true
	}
	if len(s.subtrees) == 0 {
		return false
	}
	for end := len(route); end > 0; end = strings.LastIndexByte(route[:end], '/') {
		if _, ok := s.subtrees[route[:end]]; ok {
			return true
		}
	}
	return false
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

// add takes a pattern that net/http accepts.
func (n *patternNode) add(pattern string) error {
	var c condition
	rest := pattern
	if method, after, ok := strings.Cut(pattern, " "); ok {
		c.method, rest = method, strings.TrimLeft(after, " \t")
	} else if method, after, ok := strings.Cut(pattern, "\t"); ok {
		c.method, rest = method, strings.TrimLeft(after, " \t")
	}
	if c.method != strings.ToUpper(c.method) {
		return errMethodCase
	}
	c.host, rest, _ = strings.Cut(rest, "/")
	if cleanPath("/"+rest) != rest {
		return errUncleanPattern
	}

	for {
		segment, after, more := strings.Cut(rest, "/")
		switch {
		case segment == "" && !more:
			return n.below.add(c)
		case segment == "{$}":
			return n.slash.add(c)
		case strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "...}"):
			return n.below.add(c)
		case strings.HasPrefix(segment, "*") && !more:
			// gin's, chi's and echo's way to take everything below. A path with a
			// literal asterisk there does not exist in practice.
			c.routeOnly = true
			return n.below.add(c)
		case strings.HasPrefix(segment, "{"):
			if n.any == nil {
				n.any = new(patternNode)
			}
			n = n.any
		default:
			n = n.child(unescapeSegment(segment))
		}
		if !more {
			return n.here.add(c)
		}
		rest = after
	}
}

func (n *patternNode) child(segment string) *patternNode {
	if c := n.literal[segment]; c != nil {
		return c
	}
	if n.literal == nil {
		n.literal = make(map[string]*patternNode)
	}
	c := new(patternNode)
	n.literal[segment] = c
	n.looks |= look(segment)
	return c
}

// look returns one of 64 bits for what is seen of a segment at once: its length
// and its first byte.
func look(segment string) uint64 {
	if segment == "" {
		return 0
	}
	return 1 << ((len(segment)<<3 ^ int(segment[0])) % 64)
}

// misses reports that no pattern below n begins with the segment.
func (n *patternNode) misses(segment string) bool {
	return n.looks&look(segment) == 0 && n.any == nil && n.below == nil && n.slash == nil && n.here == nil
}

func (cs *conditions) add(c condition) error {
	if slices.Contains(*cs, c) {
		return errDuplicatePattern
	}
	*cs = append(*cs, c)
	return nil
}

func (cs conditions) hold(r *http.Request, view view, how strictness) bool {
	for i := range cs {
		c := &cs[i]
		if c.routeOnly && view != routeView {
			continue
		}
		if c.method != "" && c.method != r.Method && !(c.method == http.MethodGet && r.Method == http.MethodHead) {
			continue
		}
		if c.host != "" && !sameHost(c.host, hostname(r.Host), how) {
			continue
		}
		return true
	}
	return false
}

func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// sameHost knows, where a difference would be a way around a pattern, that neither
// capitals nor the root's dot make another host.
func sameHost(pattern, host string, how strictness) bool {
	return pattern == host || how != exact && strings.EqualFold(pattern, strings.TrimSuffix(host, "."))
}

// view says what a string handed to the tree is.
type view uint8

const (
	pathView    view = iota // a request's path, decoded
	escapedView             // a request's path, each segment still to be decoded
	routeView               // a router's pattern
)

// strictness says what counts as the same.
type strictness uint8

const (
	loose  strictness = iota // a trailing slash makes no difference
	routed                   // a router may have taken it off its pattern, as chi does
	exact
)

// matchRoute reports whether the router's pattern is one of the set, or lies
// below one that takes everything below it.
func (s *patternSet) matchRoute(route string, r *http.Request, how strictness) bool {
	if s.hasRoute(route) {
		return true
	}
	slash := strings.IndexByte(route, '/') // net/http's patterns may begin with a method and a host
	return slash >= 0 && s.tree.match(strings.TrimSuffix(route[slash+1:], "{$}"), r, routeView, how)
}

// matchPath reports whether the request's path is one of the set.
func (s *patternSet) matchPath(r *http.Request, how strictness) bool {
	if first, clean := firstSegment(r.URL.Path); clean && r.URL.RawPath == "" && s.tree.misses(first) {
		return false
	}
	if s.tree.match(cleanPath(r.URL.Path), r, pathView, how) {
		return true
	}
	// RawPath is set only where decoding and encoding again gives something
	// else: an encoded slash, which routers that match the encoded path
	// (http.ServeMux, chi) keep inside its segment.
	return r.URL.RawPath != "" && s.tree.match(cleanPath(r.URL.EscapedPath()), r, escapedView, how)
}

// match walks from n. rest is what follows the slash after n's segment.
func (n *patternNode) match(rest string, r *http.Request, view view, how strictness) bool {
	if n.below.hold(r, view, how) {
		return true
	}
	if rest == "" {
		return n.slash.hold(r, view, how) || how == loose && n.here.hold(r, view, how)
	}
	segment, after, more := rest, "", false
	if slash := strings.IndexByte(rest, '/'); slash >= 0 { //nolint:modernize // strings.Cut takes three times as long
		segment, after, more = rest[:slash], rest[slash+1:], true
	}
	if view == escapedView {
		segment = unescapeSegment(segment)
	}
	if n.looks&look(segment) != 0 {
		if c := n.literal[segment]; c != nil && c.matchFrom(after, more, r, view, how) {
			return true
		}
	}
	return n.any != nil && (view != routeView || mayStandFor(segment, how)) && n.any.matchFrom(after, more, r, view, how)
}

// matchFrom goes on behind n's own segment.
func (n *patternNode) matchFrom(after string, more bool, r *http.Request, view view, how strictness) bool {
	if more {
		return n.match(after, r, view, how)
	}
	return n.here.hold(r, view, how) || how != exact && (n.slash.hold(r, view, how) || n.below.hold(r, view, how))
}

// mayStandFor reports whether {name} covers a segment of a router's pattern: not
// where that stands for more than one segment of a path, and strictly taken not
// where it is a literal, which is another route.
func mayStandFor(segment string, how strictness) bool {
	return !takesEverything(segment) && (how == loose || strings.HasPrefix(segment, "{") || strings.HasPrefix(segment, ":"))
}

// takesEverything reports whether a segment of a router's pattern stands for more
// than one segment of a path, so that {name} does not cover it.
func takesEverything(segment string) bool {
	return strings.HasPrefix(segment, "*") || strings.HasSuffix(segment, "...}")
}

// cleanPath returns the path as http.ServeMux cleans it, without the first slash.
func cleanPath(p string) string {
	if p == "" || p == "/" {
		return ""
	}
	if _, clean := firstSegment(p); clean {
		return p[1:]
	}
	cleaned := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned[1:]
}

// firstSegment returns the segment behind the first slash, and whether the path is
// as cleaning would leave it. One pass is faster than searches by package strings.
func firstSegment(p string) (segment string, clean bool) {
	if p == "" || p[0] != '/' {
		return "", false
	}
	end, afterSlash := 0, 1
	for i := 1; i < len(p); i++ {
		c := p[i]
		if c > '/' || c < '.' {
			continue
		}
		if i == afterSlash {
			return "", false
		}
		if c == '/' {
			afterSlash = i + 1
			if end == 0 {
				end = i
			}
		}
	}
	if end == 0 {
		end = len(p)
	}
	return p[1:end], true
}

func unescapeSegment(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
