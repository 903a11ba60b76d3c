package differential

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
)

// newPart makes a request of the program's own out of the one that it serves.
func (c *call) newPart(ctx context.Context, what, name string) *http.Request {
	r := c.r.Clone(freshChi(ctx))
	path := "/item/part"
	if what == "login" {
		path = sensitiveRoute
	}
	if c.e.strips {
		path = prefix + path
	}
	r.Method, r.Body, r.ContentLength = http.MethodPost, http.NoBody, 0
	r.URL = &url.URL{Path: path, RawQuery: fmt.Sprintf("part=%d.%s.%s", c.number, what, name)}
	r.RequestURI = r.URL.RequestURI()
	r.Header = http.Header{numberField: {strconv.Itoa(c.number)}, partField: {what}}
	r.Pattern = ""
	return r
}

// serveParts serves n requests at the same time with the program's own handler.
func (c *call) serveParts(ctx context.Context, what, name string, n int) (results []string) {
	results = make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		part := c.newPart(ctx, what, name+strconv.Itoa(i))
		wg.Go(func() {
			w := httptest.NewRecorder()
			c.e.chain.ServeHTTP(w, part)
			results[i] = strconv.Itoa(w.Code) + " " + dump(w.Header()) + " " + string(bytes.TrimSpace(w.Body.Bytes()))
		})
	}
	wg.Wait()
	return results
}

func parts(what string) func(*call) {
	return func(c *call) {
		ctx, cancel := context.WithCancel(c.r.Context())
		defer cancel()
		for _, result := range c.serveParts(ctx, what, "now", 3) {
			c.logf("part: %s", result)
		}
	}
}

// background makes requests with the connection's context, which nobody cancels,
// after its own is over: before the client's next one, and while that is served.
func background(what string) func(*call) {
	return func(c *call) {
		ctx := context.WithoutCancel(c.r.Context())
		r := c.r
		c.jobs++
		job := strconv.Itoa(c.jobs) // two at the same time must not find each other's in a cache
		if next := c.number + 1; what == "login" && c.e.mistakes() && next < len(c.e.states) {
			c.e.states[next].note(sawOthersRoute)
		}
		c.later(func() {
			c := &call{e: c.e, r: r, state: c.state}
			c.e.background(c.number+1, func() { c.serveParts(ctx, what, job+"later", 2) })
			c.serveParts(ctx, what, job+"after", 1)
		})
	}
}

// mistakes reports whether background work may be taken for part of the HTTP/1
// exchange under way, as Controller.Begin says: its context is never done, and a
// layer above a middleware of ours gives it an end.
func (e *env) mistakes() bool {
	for i, l := range e.p.stack {
		if l := layers[l]; (l.ours || l.adapted) && e.p.hasAbove(i, func(l layer) bool { return l.ends }) {
			return !e.p.http2 && e.p.served != untracked
		}
	}
	return false
}
