package core

import (
	"net/http"
	"strings"
)

// patternNode is a path segment, or the root above the first one.
type patternNode struct {
	literal map[string]*patternNode
	looks   uint64       // of the literals: most segments need no look-up
	any     *patternNode // {name}
	here    conditions   // the pattern ends with this segment
	slash   conditions   // it ends with a slash after this segment: /{$}
	below   conditions   // it takes everything below: a trailing slash, {name...}
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
