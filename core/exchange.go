package core

import (
	"io"
	"net/http"
	"reflect"
	"sync/atomic"
)

// Exchange is one request and its response, from [Controller.Begin] to End. It
// is the contract that adapters are written against:
//
//	func Middleware(ctl *core.Controller) func(http.Handler) http.Handler {
//		return func(next http.Handler) http.Handler {
//			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//				r, exchange := ctl.Begin(r)
//				defer exchange.End()
//				next.ServeHTTP(exchange.Writer(w), r)
//			})
//		}
//	}
//
// Where a middleware of the same Controller is already at work on the request,
// the exchange is nested: it hands its route and its Sensitive on to the outer
// one, and everything else about it does nothing.
//
// The methods are for the goroutine that serves the request. Costs are given in
// the README's figures; an exchange that keeps its connection is one allocation.
type Exchange struct {
	ctl     *Controller
	conn    *Connection // nil without a record
	owner   *Exchange   // the outer exchange of a nested one
	request *http.Request
	body    io.Reader      // HTTP/1: the request's, as net/http made it
	stream  headerIdentity // 0 on HTTP/1
	route   func() string
	pattern string      // where route is nil
	writer  http1Writer // or, converted, http2Writer
	state   atomic.Uint32
}

const (
	stateCommitted = 1 << iota
	stateEnded
	stateSensitive
	statePostponed
	stateLanded // no longer counted as in flight
)

// Begin starts an exchange. The request it returns is the one to hand on: it is
// the same one where the connection has a record, and a copy that knows the
// Exchange where it has none. A nil Controller begins an Exchange that decides
// nothing.
func (c *Controller) Begin(r *http.Request) (*http.Request, *Exchange) {
	if c == nil {
		return r, &Exchange{request: r}
	}
	switch found := r.Context().Value(contextKey{}).(type) {
	case *Connection:
		if found.ctl == c {
			return r, found.begin(r)
		}
	case *untracked:
		if found.ctl == c && found.state.Load()&stateEnded == 0 {
			return r, &Exchange{ctl: c, owner: &found.Exchange, request: r}
		}
	}
	return c.beginUntracked(r)
}

func (c *Connection) begin(r *http.Request) *Exchange {
	if r.ProtoMajor == 2 {
		return c.beginStream(r)
	}
	if outer := c.current.Load(); outer != nil && outer.request.Context().Err() == nil {
		return &Exchange{ctl: c.ctl, owner: outer, request: r}
	}
	// An exchange whose context is done was given up by a handler above it,
	// such as http.TimeoutHandler; this is the connection's next request.
	e := &Exchange{ctl: c.ctl, conn: c, request: r, body: r.Body}
	c.current.Store(e)
	e.takeOff()
	return e
}

// headerIdentity tells requests apart on a connection that carries many at once.
// Middleware copies the request, but rarely its header map.
type headerIdentity uintptr

func identify(r *http.Request) headerIdentity {
	return headerIdentity(reflect.ValueOf(r.Header).Pointer())
}

func (c *Connection) beginStream(r *http.Request) *Exchange {
	c.set(bitHTTP2)
	e := &Exchange{ctl: c.ctl, conn: c, request: r, stream: identify(r)}
	s := c.sharedRecord()
	s.mu.Lock()
	if outer := s.streams[e.stream]; outer != nil {
		e.conn, e.owner = nil, outer
	} else {
		if s.streams == nil {
			s.streams = make(map[headerIdentity]*Exchange)
		}
		s.streams[e.stream] = e
	}
	s.mu.Unlock()
	if e.owner == nil {
		e.takeOff()
	}
	return e
}

func (e *Exchange) takeOff() {
	e.ctl.shard(e.conn).begun.Add(1)
	if e.conn != nil && e.ctl.maxRequests > 0 {
		e.conn.requests.Add(1)
	}
}

// leaveFlight stops counting the exchange as in flight: it has ended, or it is
// hijacked or a stream and may last as long as its connection.
func (e *Exchange) leaveFlight() {
	if e.state.Or(stateLanded)&stateLanded == 0 {
		e.ctl.shard(e.conn).landed.Add(1)
	}
}

// SetRoute gives the router's own pattern of the route that serves the request,
// which [OnRoutes] and [Exempt] match. It is asked at most once, at the commit
// point, and only where there is such a rule; a nested exchange is asked no
// later than its End, because routers recycle their contexts. Without SetRoute
// the request's Pattern field is used, which http.ServeMux sets.
//
// An empty pattern means that no route was found. The innermost exchange wins.
func (e *Exchange) SetRoute(pattern func() string) {
	if e.owner != nil {
		e.owner.SetRoute(pattern)
	}
	e.route = pattern
}

// SetPattern is [Exchange.SetRoute] for a router that knows the pattern before
// the handler runs. It spares the function.
func (e *Exchange) SetPattern(pattern string) {
	if e.owner != nil {
		e.owner.SetPattern(pattern)
		return
	}
	e.route, e.pattern = nil, pattern
}

// Sensitive ends the connection after this response, with [ReasonRoute]: what
// the adapters' Sensitive middleware calls.
func (e *Exchange) Sensitive() {
	if e.owner != nil {
		e.owner.Sensitive()
		return
	}
	e.state.Or(stateSensitive)
}

// Postpone says that the response will be written after the middleware has
// returned, as echo's error handler does. End then takes no decision; the
// [Exchange.Writer] takes it when the response is written.
func (e *Exchange) Postpone() {
	if e.owner != nil {
		e.owner.Postpone()
		return
	}
	e.state.Or(statePostponed)
}

// End ends the exchange. It is to be deferred, so that a panic leaves no count
// behind. Where nothing has been written through the Writer yet it is the commit
// point, since net/http writes the header right after. Calling it again does
// nothing.
func (e *Exchange) End() {
	if e.ctl == nil {
		return
	}
	if e.owner != nil {
		e.owner.freezeRoute(e)
		return
	}
	if e.writer.exchange != nil && e.state.Load()&statePostponed == 0 {
		e.writer.commit()
	}
	before := e.state.Or(stateEnded | stateLanded)
	if before&stateEnded != 0 {
		return
	}
	if before&stateLanded == 0 {
		e.ctl.shard(e.conn).landed.Add(1)
	}
	if e.conn == nil {
		untrackedOf(e).end()
		return
	}
	if e.ctl.drainSince() != 0 && !e.conn.Hijacked() {
		e.conn.served.Add(1)
	}
	e.conn.end(e)
}

func (c *Connection) end(e *Exchange) {
	if e.stream != 0 {
		s := c.shared.Load()
		s.mu.Lock()
		delete(s.streams, e.stream)
		s.mu.Unlock()
		return
	}
	if c.bits.Load()&bitAnnounced != 0 {
		if !e.bodyRead() {
			c.set(bitBodyPending)
		}
		if e.request.Context().Err() != nil && c.current.Load() == e {
			c.set(bitGivenUp)
		}
	}
	c.current.CompareAndSwap(e, nil)
}

// bodyRead reports whether the request's body has been read to its end, as far as
// that can be known. An empty read asks net/http's body of a known length without
// waiting for the client. It must not ask a reader that a handler has put in its
// place, nor a body in chunks: both could wait, the latter for the next chunk's
// header. Nor one that the client holds back: that would send 100 Continue.
func (e *Exchange) bodyRead() bool {
	if e.body == nil || e.body == http.NoBody {
		return true
	}
	if e.request.Header["Expect"] != nil || e.request.ContentLength < 0 {
		return false
	}
	_, err := e.body.Read(nil)
	return err != nil
}

// freezeRoute asks for the route that a nested exchange gave while that still can
// be answered.
func (e *Exchange) freezeRoute(nested *Exchange) {
	if e.route == nil || nested.route == nil || e.state.Load()&stateCommitted != 0 || !e.ctl.needsRoute {
		return
	}
	e.SetPattern(e.route())
}

// routePattern returns the router's pattern of the route that serves the request.
func (e *Exchange) routePattern() string {
	switch {
	case e.route != nil:
		return e.route()
	case e.pattern != "":
		return e.pattern
	default:
		return e.request.Pattern
	}
}
