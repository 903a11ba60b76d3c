package differential

import (
	"net/http"
)

// layer is one middleware of a stack.
type layer struct {
	name string
	wrap func(e *env, here place, next http.Handler) http.Handler
	traits
}

// traits are what the model and the other parts of a program have to know.
type traits struct {
	ours       bool // a middleware of ours
	adapted    bool // a router with a middleware of ours
	buffers    bool // nothing leaves before the handler has returned
	concurrent bool // the handler runs on another goroutine
	copies     bool // what is below has another *http.Request
	watches    bool // the end of the request's context changes the response
	givesUp    bool // a handler that gets stuck is given up
	detaches   bool // what is below is another server's
	routes     bool
	pools      bool // contexts are reused, so no handler below may outlive its request
	strips     bool // of the path's prefix
	caches     bool
	keeps      bool // the header map itself
	amends     bool // the header map, on the way out
	delays     bool // WriteHeader alone lets nothing leave
	once       bool // a 1xx is taken for the final status
	flushes    bool // before the handler runs
	swaps      bool // the server's own request has another body
	limits     bool // the request body
	reads      bool // the whole request body, by itself
	ends       bool // what is below has a context with an end of its own
}

// and has the traits of both.
func (t traits) and(o traits) traits {
	return traits{
		ours:       t.ours || o.ours,
		adapted:    t.adapted || o.adapted,
		buffers:    t.buffers || o.buffers,
		concurrent: t.concurrent || o.concurrent,
		copies:     t.copies || o.copies,
		watches:    t.watches || o.watches,
		givesUp:    t.givesUp || o.givesUp,
		detaches:   t.detaches || o.detaches,
		routes:     t.routes || o.routes,
		pools:      t.pools || o.pools,
		strips:     t.strips || o.strips,
		caches:     t.caches || o.caches,
		keeps:      t.keeps || o.keeps,
		amends:     t.amends || o.amends,
		delays:     t.delays || o.delays,
		once:       t.once || o.once,
		flushes:    t.flushes || o.flushes,
		swaps:      t.swaps || o.swaps,
		limits:     t.limits || o.limits,
		reads:      t.reads || o.reads,
		ends:       t.ends || o.ends,
	}
}

// place is where in the stack a layer is.
type place struct {
	detached bool // somebody above asks another server
	buffered bool // somebody above buffers
	// A middleware of ours above has the same *http.Request: of a request that
	// came from the client, and of one that the program makes itself.
	shared, sharedPart bool
}

// below is the place below a layer in this place.
func (p place) below(l layer) place {
	p.detached = p.detached || l.detaches
	p.buffered = p.buffered || l.buffers
	p.shared = (p.shared || l.ours) && !l.copies
	p.sharedPart = (p.sharedPart || l.ours) && !l.copies
	return p
}

var layers = []layer{
	{name: "stdlib.Middleware", wrap: politeMiddleware, traits: traits{ours: true}},
	{name: "stdlib.Sensitive", wrap: sensitiveMiddleware, traits: traits{ours: true}},
	{name: "mux", wrap: mux, traits: traits{routes: true}},
	{name: "Middleware around mux", wrap: politeMux, traits: traits{adapted: true, routes: true}},
	{name: "chi", wrap: chiRouter, traits: traits{routes: true, copies: true, pools: true}},
	{name: "chi with its adapter", wrap: politeChi, traits: traits{adapted: true, routes: true, copies: true, pools: true}},
	{name: "gin", wrap: ginRouter, traits: traits{routes: true, pools: true, delays: true}},
	{name: "gin with its adapter", wrap: politeGin, traits: traits{adapted: true, routes: true, pools: true, delays: true}},
	{name: "echo", wrap: echoRouter, traits: traits{once: true, routes: true, pools: true}},
	{name: "echo with its adapter", wrap: politeEcho, traits: traits{once: true, adapted: true, routes: true, pools: true}},
	{name: "http.TimeoutHandler that never fires", wrap: timeoutHandler, traits: traits{ends: true, buffers: true, concurrent: true, copies: true, watches: true}},
	{name: "http.TimeoutHandler", wrap: firingTimeoutHandler, traits: traits{ends: true, buffers: true, concurrent: true, copies: true, watches: true, givesUp: true}},
	{name: "a timeout of the program", wrap: ownTimeout, traits: traits{buffers: true, concurrent: true, givesUp: true}},
	{name: "compression", wrap: compression(false)},
	{name: "compression with Unwrap", wrap: compression(true)},
	{name: "a cache", wrap: cacheOf(cacheClones), traits: traits{caches: true}},
	{name: "a cache that keeps the map", wrap: cacheOf(cacheKeeps), traits: traits{keeps: true, caches: true}},
	{name: "a cache that copies at WriteHeader", wrap: cacheOf(cacheAtWriteHeader), traits: traits{caches: true}},
	{name: "method override", wrap: methodOverride},
	{name: "method override on a copy", wrap: methodOverrideOnCopy, traits: traits{copies: true}},
	{name: "recover", wrap: recovers},
	{name: "http.MaxBytesHandler", wrap: maxBytes, traits: traits{limits: true, copies: true}},
	{name: "WithContext", wrap: withContext, traits: traits{copies: true}},
	{name: "Clone", wrap: clone, traits: traits{ends: true, copies: true}},
	{name: "context in place", wrap: contextInPlace},
	{name: "httptest.ResponseRecorder", wrap: recorder, traits: traits{buffers: true}},
	{name: "http.StripPrefix", wrap: stripPrefix, traits: traits{copies: true, strips: true}},
	{name: "rewrite of /a to /login in place", wrap: rewrite},
	{name: "body replaced in place", wrap: replaceBody, traits: traits{swaps: true}},
	{name: "buffered body", wrap: bufferBody, traits: traits{reads: true}},
	{name: "httputil.ReverseProxy", wrap: reverseProxy, traits: traits{buffers: true, copies: true, watches: true, detaches: true, concurrent: true}},
	{name: "Flush first", wrap: flushFirst, traits: traits{flushes: true}},
	{name: "access log", wrap: accessLog},
	{name: "header set on the way out", wrap: headerAfter, traits: traits{amends: true}},
}
