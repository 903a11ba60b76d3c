package core

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// underWay is what a connection's newest request said it wants, and when the
// connection became active with it. It is made for the first request, and kept
// apart from the request, which is its handler's to change.
type underWay struct {
	mu             sync.Mutex
	method, target string
	since          int64 // since Controller.start
}

// activate notes the time of a request that begins.
func (c *Connection) activate() {
	u := c.underWay.Load()
	if u == nil {
		u = new(underWay)
		c.underWay.Store(u)
	}
	now := c.ctl.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.method, u.target, u.since = "", "", now
}

// note notes what the connection's own request wants.
func (c *Connection) note(r *http.Request) {
	if u := c.underWay.Load(); u != nil {
		u.mu.Lock()
		u.method, u.target = r.Method, r.RequestURI
		u.mu.Unlock()
	}
}

// UnderWay returns for how long a request has been under way on the connection,
// and its method and path, such as "GET /reports". It returns "" and 0 where there
// is none, and no route on HTTP/2, where there may be many.
func (c *Connection) UnderWay() (route string, ran time.Duration) {
	u := c.underWay.Load()
	if u == nil || c.bits.Load()&bitActive == 0 {
		return "", 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.method != "" {
		path, _, _ := strings.Cut(u.target, "?") // what follows may be a secret
		route = u.method + " " + path
	}
	return route, time.Duration(c.ctl.now() - u.since)
}
