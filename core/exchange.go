package core

import (
	"context"
	"net/http"
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
// The methods are for the goroutine that serves the request. Costs are given in
// the README's figures; an exchange that keeps its connection is one allocation,
// two on HTTP/2 and without a record, where the request is copied.
type Exchange struct {
	state   atomic.Uint32 // flags, OnMatch's reason and the decision's
	kind    kind
	place   place
	written uint16        // body bytes of an announcing response that net/http may still hold back
	conn    *Connection   // where kind has a record
	request *http.Request // as it was handed on; only its Pattern is read later
	below   http.ResponseWriter
	context context.Context // of the request as it came; the server's is done when the client is gone
	more    *more
}

// A kind says whose request an exchange is. It is decided once, by who begins
// the exchange, and nothing else is read from which fields are set:
//
//	kind       the request is                          counted  decides  tells the client with
//	ownKind    its HTTP/1 connection's own             yes      yes      the header, and a mark on the connection
//	streamKind a stream of its HTTP/2 connection       yes      yes      GOAWAY, and a mark on the connection
//	loneKind   one whose connection has no record      yes      yes      the header
//	partKind   part of another exchange                no       no       –
//	noKind     nobody's: of a nil Controller, or made  no       no       –
//	           by the program after its exchange
//
// A part is what begins below another exchange of the same Controller: a
// middleware that meets the request again, or a request that the program makes
// itself with the context of the one that it serves (a batch's sub-request, a
// recorder). It announces nothing. Its route, its path and its Sensitive count
// for the exchange that it is part of while that one is under way, because they
// say what really ran.
type kind uint8

const (
	noKind kind = iota
	ownKind
	streamKind
	loneKind
	partKind
)

// A place says what is known about the writer below an exchange's own.
type place uint8

const (
	somewhere  place = iota // it may look at the header map at any time
	aboveOwn                // it has the shape of net/http's, which copy the map at WriteHeader
	atTheEntry              // … and it is net/http's, with nothing in between
)

// more is what most exchanges of an HTTP/1 connection do without. It is
// allocated together with its Exchange, which is kept at 64 bytes because
// allocating it is what costs most.
type more struct {
	ctl   *Controller   // where there is no record to ask
	owner *Exchange     // of a part
	scope *scoped       // that this is of
	route Route         // that an adapter gave
	given *http.Request // before it was copied

	method, host string // of the request, before a handler can change it
}

// The lowest bits of an exchange's state.
const (
	stateCommitted    = 1 << iota
	stateEnded                       //
	stateNotInFlight                 // it has ended, or may last as long as its connection
	statePostponed                   // the response will be written after the middleware
	stateHijacked                    //
	stateTold                        // the announcement has left, or is certain to
	stateUntouched                   // nobody has asked for the header map yet
	stateSensitive                   // the path or a route is one of OnRoutes, or Sensitive said so
	stateExemptPath                  // the path is one of Exempt
	stateRouted                      // a router has given the route
	stateExemptRoute                 // … and it is one of Exempt
	stateClientCloses                // the request says that the client closes
	stateHTTP3                       //
	stateHasBody                     // the request has a body, whose end nobody asks for
	stateAdvertises                  // a response that keeps the connection gets a Keep-Alive field
	stateSkipped                     // no rule is asked
	stateElsewhere    = stateSkipped // of a part: it answers a recorder or the like, not the client

	matchShift  = 16 // the reason of the OnMatch rule that accepted the request
	reasonShift = 24 // the decision's
)

func matchedIn(state uint32) reasonIndex { return reasonIndex(state >> matchShift & 0xff) }
func decidedIn(state uint32) reasonIndex { return reasonIndex(state >> reasonShift & 0xff) }

// controller returns nil for noKind.
func (e *Exchange) controller() *Controller {
	switch {
	case e.conn != nil:
		return e.conn.ctl
	case e.more != nil:
		return e.more.ctl
	}
	return nil
}

// Decides reports whether the exchange takes a decision. It does not where
// another exchange of the same Controller answers the request, such as that of
// the handler that stdlib.Track puts in front of a server's. An adapter whose
// framework has a writer of its own then has nothing to write.
func (e *Exchange) Decides() bool { return e.kind != noKind && e.kind != partKind }

// nobodys is the exchange of every request that counts for nobody.
var nobodys Exchange

// Begin starts an exchange. The request it returns is the one to hand on: on an
// HTTP/1 connection with a record it is the same one, and elsewhere a copy whose
// context knows the Exchange.
//
// Where the server's own handler has begun the exchange already, or another
// middleware of the same Controller, this one is part of that one: it hands on
// its route and its Sensitive, and everything else about it does nothing. The
// same holds for a request that a handler makes itself with the context of the
// one that it serves. What it does counts for nobody once that exchange is over,
// and where its context does not tell: on HTTP/1 one that can never be done, as
// context.WithoutCancel makes it.
//
// A nil Controller begins an Exchange that decides nothing.
func (c *Controller) Begin(r *http.Request) (*http.Request, *Exchange) {
	if c == nil {
		return r, &nobodys
	}
	switch found := r.Context().Value(contextKey{}).(type) {
	case *Connection:
		if found.ctl == c {
			return found.begin(r)
		}
		c.sayForeign()
	case *scoped:
		if found.controller() == c {
			return r, c.beginPart(found.decider(), r)
		}
		c.sayForeign()
	}
	return c.beginLone(r)
}

// Skip leaves the exchange out that this request is part of, if there is one: no
// rule ends the connection with its response, not even a drain. It is what an
// adapter's Skipper does in the place of Begin.
func (c *Controller) Skip(r *http.Request) {
	if e := exchangeOf(r.Context()); c != nil && e != nil && e.controller() == c {
		e.state.Or(stateSkipped)
	}
}

// begin is for a middleware on a connection with a record.
func (c *Connection) begin(r *http.Request) (*http.Request, *Exchange) {
	if c.bits.Load()&bitEntered != 0 {
		// What is the connection's own has passed the entry.
		return r, c.ctl.beginPart(c.current.Load(), r)
	}
	if r.ProtoMajor == 2 {
		return c.beginStream(r)
	}
	// An exchange whose context is done was given up by a handler above it, such
	// as http.TimeoutHandler, and this is the connection's next request. Where it
	// is this request that was given up, nobody will see what it does.
	if outer := c.current.Load(); outer != nil && outer.context.Err() == nil {
		if r.Context().Err() != nil {
			return r, &nobodys
		}
		return r, c.ctl.beginPart(outer, r)
	}
	return r, c.beginOwn(r)
}

func (c *Connection) beginOwn(r *http.Request) *Exchange {
	e := &Exchange{kind: ownKind, conn: c, request: r, context: r.Context()}
	e.look(c.ctl, r)
	c.note(r)
	c.current.Store(e)
	c.count(r)
	return e
}

func (c *Connection) count(r *http.Request) {
	c.ctl.shard(c).Begun.Add(1)
	if c.requests.Add(1) == 1 {
		c.speak(protocolOf(r.ProtoMajor, r.ProtoMinor))
	}
}

// look reads what the rules need of the request before a handler can change it.
// The request is the handler's from then on.
func (e *Exchange) look(c *Controller, r *http.Request) {
	var state uint32
	if r.Close {
		state |= stateClientCloses
	}
	if r.ContentLength != 0 {
		state |= stateHasBody
	}
	if r.ProtoMajor > 2 {
		state |= stateHTTP3
	}
	if c.rules&hasRoutes != 0 && c.sensitivePath(r) {
		state |= stateSensitive
	}
	if c.rules&hasExempt != 0 && c.exemptPath(r) {
		state |= stateExemptPath
	}
	if c.rules&hasMatch != 0 && !r.Close {
		state |= uint32(c.matching(r)) << matchShift
	}
	e.state.Store(state)
}

// matching asks the OnMatch rules, each once per exchange.
func (c *Controller) matching(r *http.Request) reasonIndex {
	for i := range c.matches {
		if m := &c.matches[i]; m.accepts(r, c.logger) {
			return m.reason
		}
	}
	return 0
}

// leaveFlight stops counting the exchange as in flight.
func (e *Exchange) leaveFlight() {
	if e.state.Or(stateNotInFlight)&stateNotInFlight == 0 {
		e.controller().shard(e.conn).Ended.Add(1)
	}
}

// Sensitive ends the connection after this response, with [ReasonRoute]: what
// the adapters' Sensitive middleware calls. Where the response's header has left
// already, the connection's next response announces, or on HTTP/2 a GOAWAY.
func (e *Exchange) Sensitive() {
	switch e.kind {
	case noKind:
	case partKind:
		if e.belongs() {
			e.more.owner.Sensitive()
		}
	default:
		if e.state.Or(stateSensitive)&stateCommitted != 0 {
			e.closeLate(routeIndex)
		}
	}
}

// closeLate is for what asks for the connection's end when the header has left.
func (e *Exchange) closeLate(reason reasonIndex) {
	switch {
	case e.conn == nil || e.state.Load()&stateHijacked != 0:
	case e.conn.tells():
		e.conn.announce(reason, e)
	default:
		e.conn.setMark(reason)
	}
}

// Postpone says that the response will be written after the middleware has
// returned, as echo's error handler does. End then takes no decision; the
// [Exchange.Writer] takes it when the response is written.
func (e *Exchange) Postpone() {
	if e.Decides() {
		e.state.Or(statePostponed)
	}
}

// End ends the exchange. It is to be deferred, so that a panic leaves no count
// behind. Where nothing has been written through the Writer yet it is the commit
// point, since net/http writes the header right after. Calling it again does
// nothing.
func (e *Exchange) End() {
	switch e.kind {
	case noKind:
		return
	case partKind:
		e.report()
		return
	}
	if e.below != nil && e.state.Load()&(stateCommitted|statePostponed) == 0 {
		if before := e.state.Or(stateCommitted); before&stateCommitted == 0 {
			e.conclude(before, e.touched(before), http.StatusOK)
		}
	}
	e.tell()
	e.end(true)
}

// end is what the end of an exchange has to do whether or not it has answered.
func (e *Exchange) end(answered bool) {
	before := e.state.Or(stateEnded | stateNotInFlight)
	if before&stateEnded != 0 {
		return
	}
	c := e.controller()
	if before&stateNotInFlight == 0 {
		c.shard(e.conn).Ended.Add(1)
	}
	switch e.kind {
	case loneKind:
		e.more.scope.end()
		return
	case streamKind:
		e.more.scope.end()
	case ownKind:
		e.conn.end(e, before)
	}
	if answered && c.drainSince() != 0 && before&stateHijacked == 0 {
		e.conn.served.Add(1)
	}
}

// end ends the own exchange of an HTTP/1 connection.
func (c *Connection) end(e *Exchange, state uint32) {
	bits := c.bits.Load()
	if bits&bitAnnounced != 0 {
		if state&stateHasBody != 0 {
			c.set(bitBodyPending)
		}
		if bits&bitEntered == 0 && e.context.Err() != nil && c.current.Load() == e {
			c.set(bitGivenUp)
		}
	}
	c.endLeaving(e)
	c.current.CompareAndSwap(e, nil)
}
