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
	conn    *Connection // nil without a record, and of a nested exchange
	request *http.Request
	below   http.ResponseWriter // what Writer was given
	route   Route
	more    *more
	state   atomic.Uint32
}

// more is what most exchanges do without. It is allocated together with its
// Exchange, which is kept at 64 bytes because allocating it is what costs most.
type more struct {
	ctl    *Controller    // where conn is nil
	owner  *Exchange      // the outer exchange of a nested one
	body   io.Reader      // HTTP/1: the request's, as net/http made it
	stream headerIdentity // HTTP/2
}

func newExchange(r *http.Request, m more) *Exchange {
	e := &struct {
		Exchange
		more
	}{more: m}
	e.request, e.Exchange.more = r, &e.more
	return &e.Exchange
}

const (
	stateCommitted = 1 << iota
	stateEnded
	stateSensitive
	statePostponed
	stateLanded   // no longer counted as in flight
	stateAdopting // a nested exchange is handing its route on
)

// add sets bits of the state and returns what it was before.
func (e *Exchange) add(bits uint32) (before uint32) {
	for {
		before = e.state.Load()
		if before&bits == bits || e.state.CompareAndSwap(before, before|bits) {
			return before
		}
	}
}

// controller returns nil for an exchange that a nil Controller began.
func (e *Exchange) controller() *Controller {
	switch {
	case e.conn != nil:
		return e.conn.ctl
	case e.more != nil:
		return e.more.ctl
	}
	return nil
}

// owner returns the outer exchange, nil where the exchange is not nested.
func (e *Exchange) owner() *Exchange {
	if e.more == nil {
		return nil
	}
	return e.more.owner
}

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
		if found.controller() == c && found.state.Load()&stateEnded == 0 {
			return r, newExchange(r, more{ctl: c, owner: &found.Exchange})
		}
	}
	return c.beginUntracked(r)
}

func (c *Connection) begin(r *http.Request) *Exchange {
	if r.ProtoMajor == 2 {
		return c.beginStream(r)
	}
	// An exchange whose context is done was given up by a handler above it, such
	// as http.TimeoutHandler; this is the connection's next request. Where it is
	// this request that was given up, the other one may be the next.
	if outer := c.current.Load(); outer != nil && outer.request.Context().Err() == nil {
		if r.Context().Err() != nil {
			return &Exchange{request: r} // decides nothing, for nobody will see it
		}
		return newExchange(r, more{ctl: c.ctl, owner: outer})
	}
	var e *Exchange
	if r.Body == nil || r.Body == http.NoBody {
		e = &Exchange{request: r}
	} else {
		e = newExchange(r, more{body: r.Body})
	}
	e.conn = c
	c.current.Store(e)
	c.takeOff(r)
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
	e := newExchange(r, more{ctl: c.ctl, stream: identify(r)})
	s := c.sharedRecord()
	s.mu.Lock()
	defer s.mu.Unlock()
	if outer := s.streams[e.more.stream]; outer != nil {
		e.more.owner = outer
		return e
	}
	if s.streams == nil {
		s.streams = make(map[headerIdentity]*Exchange)
	}
	s.streams[e.more.stream] = e
	e.conn = c
	c.takeOff(r)
	return e
}

func (c *Connection) takeOff(r *http.Request) {
	c.ctl.shard(c).begun.Add(1)
	if c.requests.Add(1) == 1 {
		c.speak(protocolOf(r.ProtoMajor, r.ProtoMinor))
	}
}

// leaveFlight stops counting the exchange as in flight: it has ended, or it is
// hijacked or a stream and may last as long as its connection.
func (e *Exchange) leaveFlight() {
	if e.add(stateLanded)&stateLanded == 0 {
		e.controller().shard(e.conn).landed.Add(1)
	}
}

// Sensitive ends the connection after this response, with [ReasonRoute]: what
// the adapters' Sensitive middleware calls.
func (e *Exchange) Sensitive() {
	if owner := e.owner(); owner != nil {
		owner.Sensitive()
		return
	}
	e.add(stateSensitive)
}

// Postpone says that the response will be written after the middleware has
// returned, as echo's error handler does. End then takes no decision; the
// [Exchange.Writer] takes it when the response is written.
func (e *Exchange) Postpone() {
	if owner := e.owner(); owner != nil {
		owner.Postpone()
		return
	}
	e.add(statePostponed)
}

// End ends the exchange. It is to be deferred, so that a panic leaves no count
// behind. Where nothing has been written through the Writer yet it is the commit
// point, since net/http writes the header right after. Calling it again does
// nothing.
func (e *Exchange) End() {
	c := e.controller()
	if c == nil {
		return
	}
	if owner := e.owner(); owner != nil {
		owner.freezeRoute(c, e)
		return
	}
	bits := uint32(stateEnded | stateLanded)
	if e.below != nil && e.state.Load()&statePostponed == 0 {
		bits |= stateCommitted
	}
	before := e.add(bits)
	if before&stateEnded != 0 {
		return
	}
	if bits&^before&stateCommitted != 0 {
		e.settle(c, before, e.below.Header(), http.StatusOK)
	}
	if before&stateLanded == 0 {
		c.shard(e.conn).landed.Add(1)
	}
	if e.conn == nil {
		untrackedOf(e).end()
		return
	}
	if c.drainSince() != 0 && !e.conn.Hijacked() {
		e.conn.served.Add(1)
	}
	e.conn.end(e)
}

func (c *Connection) end(e *Exchange) {
	if e.more != nil && e.more.stream != 0 {
		s := c.shared.Load()
		s.mu.Lock()
		delete(s.streams, e.more.stream)
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
	if e.more == nil {
		return true
	}
	if e.request.Header["Expect"] != nil || e.request.ContentLength < 0 {
		return false
	}
	_, err := e.more.body.Read(nil)
	return err != nil
}
