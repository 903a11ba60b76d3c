package core

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// condition is what a pattern asks beside the path.
type condition struct {
	method, host string
	routeOnly    bool // the pattern is a router's own and says nothing about paths
}

type conditions []condition

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
