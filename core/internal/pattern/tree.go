package pattern

import "strings"

// node is a path segment, or the root above the first one. The patterns
// "/users/{id}", "POST /users/" and "/files/{name...}" make this tree:
//
//	root ── "users"  below: POST
//	     │     └── any  here: every method
//	     └─ "files"  below: every method
//
// A question about "/users/7" goes to "users", where a POST matches what takes
// everything below, then to any, where it ends and matches what is here.
type node struct {
	literal map[string]*node // by the decoded segment
	looks   Glance           // of the literals: most segments need no look-up
	any     *node            // {name}
	here    conditions       // the pattern ends with this segment
	slash   conditions       // it ends with a slash after this segment: /{$}
	below   conditions       // it takes everything below: a trailing slash, {name...}

	// plain says that a pattern spells this segment's first byte out. The
	// literal of "%3Aid" is ":id" to a path, but it is not the parameter ":id"
	// of a route.
	plain bool
}

// add takes a pattern that net/http accepts.
func (n *node) add(p *counted) error {
	c := condition{pattern: p}
	prefix, rest, _ := strings.Cut(p.pattern, "/")
	c.method, c.host = conditionsOf(prefix)
	if c.method != strings.ToUpper(c.method) {
		return errMethodCase
	}
	if cleanPath("/"+rest) != rest {
		return errUnclean
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
			// gin's, chi's and echo's way to take everything below. A path with
			// a literal asterisk there does not exist in practice.
			c.routeOnly = true
			return n.below.add(c)
		case strings.HasPrefix(segment, "{"):
			if n.any == nil {
				n.any = new(node)
			}
			n = n.any
		default:
			n = n.child(segment)
		}
		if !more {
			return n.here.add(c)
		}
		rest = after
	}
}

func (n *node) child(segment string) *node {
	decoded := unescapeSegment(segment)
	c := n.literal[decoded]
	if c == nil {
		if n.literal == nil {
			n.literal = make(map[string]*node)
		}
		c = new(node)
		n.literal[decoded] = c
		n.looks |= look(decoded)
	}
	c.plain = c.plain || segment[0] == decoded[0]
	return c
}

// glance returns what may be below a root.
func (n *node) glance() Glance {
	if n.any != nil || n.below != nil || n.slash != nil || n.here != nil {
		return Anything
	}
	return n.looks
}

// match walks from n. rest is what follows the slash after n's segment.
func (n *node) match(rest string, q *question) {
	n.below.match(q)
	if rest == "" {
		n.slash.match(q)
		if q.how == loose {
			n.here.match(q)
		}
		return
	}
	segment, after, more := rest, "", false
	if slash := strings.IndexByte(rest, '/'); slash >= 0 { //nolint:modernize // strings.Cut takes three times as long
		segment, after, more = rest[:slash], rest[slash+1:], true
	}
	if c := n.lookUp(segment, q.view); c != nil {
		c.matchFrom(after, more, q)
	}
	if n.any != nil && (q.view != routeView || covers(segment, q.how)) {
		n.any.matchFrom(after, more, q)
	}
}

// lookUp returns the literal for a segment of a path or a route.
func (n *node) lookUp(segment string, view view) *node {
	decoded := segment
	if view != pathView {
		decoded = unescapeSegment(segment)
	}
	if n.looks&look(decoded) == 0 {
		return nil
	}
	c := n.literal[decoded]
	if c != nil && view == routeView && !c.plain && isParameter(segment) {
		return nil
	}
	return c
}

// matchFrom goes on behind n's own segment.
func (n *node) matchFrom(after string, more bool, q *question) {
	if more {
		n.match(after, q)
		return
	}
	n.here.match(q)
	if q.how == loose || q.view == routeView { // chi takes a trailing slash off its routes
		n.slash.match(q)
		n.below.match(q)
	}
}

// covers reports whether {name} covers a segment of a route: not where that
// stands for more than one segment of a path, and strictly taken not where it
// is a literal, which is another route.
func covers(segment string, how strictness) bool {
	return !takesEverything(segment) && (how == loose || isParameter(segment))
}

// isParameter reports whether a segment of a route is not meant to the letter.
func isParameter(segment string) bool {
	return segment != "" && strings.IndexByte("{:*", segment[0]) >= 0
}

// takesEverything reports whether a segment of a route stands for more than one
// segment of a path.
func takesEverything(segment string) bool {
	return strings.HasPrefix(segment, "*") || strings.HasSuffix(segment, "...}")
}
