package pattern

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// condition is what a pattern asks beside the path.
type condition struct {
	pattern      *counted
	method, host string
	routeOnly    bool // the pattern is a router's own and says nothing about paths
}

type conditions []condition

func (cs *conditions) add(c condition) error {
	same := func(other condition) bool {
		other.pattern = c.pattern
		return other == c
	}
	if slices.ContainsFunc(*cs, same) {
		return errDuplicate
	}
	*cs = append(*cs, c)
	return nil
}

// match counts the patterns whose conditions hold.
func (cs conditions) match(q *question) {
	for i := range cs {
		if c := &cs[i]; c.holds(q) {
			q.match(c.pattern)
		}
	}
}

func (c *condition) holds(q *question) bool {
	if c.routeOnly && q.view != routeView {
		return false
	}
	return (c.method == "" || sameMethod(c.method, q.Method) || sameMethod(c.method, q.routeMethod)) &&
		(c.host == "" || sameHost(c.host, hostname(q.Host), q) || sameHost(c.host, q.routeHost, q))
}

// conditionsOf returns what stands before the path of a route of net/http's.
func conditionsOf(prefix string) (method, host string) {
	if space := strings.IndexAny(prefix, " \t"); space >= 0 {
		return prefix[:space], strings.TrimLeft(prefix[space:], " \t")
	}
	return "", prefix
}

func sameMethod(pattern, method string) bool {
	return pattern == method || pattern == http.MethodGet && method == http.MethodHead
}

func hostname(host string) string {
	if strings.IndexByte(host, ':') < 0 {
		return host
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// sameHost knows, where a difference would be a way around a pattern, that
// neither capitals nor the root's dot make another host.
func sameHost(pattern, host string, q *question) bool {
	return pattern == host ||
		(q.how == loose || q.view == routeView) && strings.EqualFold(pattern, strings.TrimSuffix(host, "."))
}
