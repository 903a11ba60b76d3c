package pattern

import "strings"

// A Glance is what is seen of a path or a route at once: the length and the first
// byte of its first segment, as one of 64 bits. Of a set it has the bits of all
// that is in it, so that "/api/users/7" is known not to be one of "/login" and
// "/admin/" without a look at either. All bits are what cannot be told by its
// first segment, none is what is no path at all.
type Glance uint64

// Anything is the glance at what may be any path.
const Anything = ^Glance(0)

// AtPath returns the glance at a decoded path.
func AtPath(path string) Glance {
	first, ok := firstSegment(path)
	if !ok {
		return Anything
	}
	return look(first)
}

// AtRoute returns the glance at a route, which may begin with a method and a
// host, as net/http's patterns do.
func AtRoute(route string) Glance {
	begin := strings.IndexByte(route, '/') + 1
	if begin == 0 {
		return 0
	}
	end := begin
	for end < len(route) && route[end] != '/' {
		if route[end] == '%' {
			return Anything
		}
		end++
	}
	if begin == end {
		return Anything
	}
	return look(route[begin:end])
}

// look is the glance at a single segment.
func look(segment string) Glance {
	if segment == "" {
		return 0
	}
	return 1 << ((len(segment)<<3 ^ int(segment[0])) % 64)
}
