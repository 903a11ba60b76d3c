package core

import (
	"errors"
	"fmt"
	"net/http"
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
	if first, ok := firstSegment(r.URL.Path); ok && r.URL.RawPath == "" && s.tree.misses(first) {
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
