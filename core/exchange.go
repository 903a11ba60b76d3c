package core

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/leaving"
	"github.com/politeclose/politeclose/core/internal/shed"
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
// The methods are for the goroutine that serves the request. An exchange that
// keeps its connection costs one allocation: 64 bytes over HTTP/1, 160 where a
// pattern has a host, and 448 over HTTP/2 and without a record, where the request
// is copied.
type Exchange struct {
	state   atomic.Uint32 // flags, OnMatch's reason and the decision's
	kind    kind
	place   place
	written uint16        // body bytes of an announcing response that net/http may still hold back
	conn    *Connection   // where kind has a record
	request *http.Request // as handed on; of it Pattern, Method and Host are read later
	below   http.ResponseWriter
	context context.Context // of the request as it came; the server's is done when the client is gone
	rare    *rare
}

// A kind says whose request an exchange is. It is decided once, by who begins
// the exchange, and nothing else is read from which fields are set:
//
//	kind        the request is                      it
//	ownKind     its HTTP/1 connection's own         decides; header and mark
//	streamKind  a stream of its HTTP/2 connection   decides; GOAWAY and mark
//	loneKind    one whose connection has no record  decides; header
//	partKind    part of another exchange            reports to that one
//	noKind      nobody's                            does nothing
//
// What decides is counted. A mark is remembered on the connection. Nobody's is
// a request of a nil Controller, and one that the program makes after its
// exchange.
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

// rare is what most exchanges of an HTTP/1 connection do without. It is
// allocated together with its Exchange, which is kept at 64 bytes because
// allocating it is what costs most.
type rare struct {
	ctl   *Controller   // where there is no record to ask
	owner *Exchange     // of a part
	scope *scoped       // that this is of
	route Route         // that an adapter gave
	given *http.Request // of a scope: before it was copied for the handler
	line  *requestLine  // as the request came, where that is not known otherwise

	asked  atomic.Bool // the route has been asked for
	joined bool        // of a part: its writer has proved whose it is
	inside bool        // of a part: it stands inside a router that gave its route ahead
}

// requestLine is what patterns ask of a request beside its route and its path.
type requestLine struct{ method, host string }

// newLined returns an exchange with the line of its request, in one allocation.
func newLined(r *http.Request) *Exchange {
	e := &struct {
		Exchange
		rare
		requestLine
	}{requestLine: requestLine{r.Method, r.Host}}
	e.line, e.Exchange.rare = &e.requestLine, &e.rare
	return &e.Exchange
}

// scoped is an exchange that the context of its request knows: a stream, which
// shares every value of its connection with other streams, or one whose
// connection has no record. What a record would remember it remembers itself.
// The request with that context is in it as well, which spares an allocation.
type scoped struct {
	Exchange
	rare
	copied   http.Request
	protocol protocol
	asked    atomic.Uint32 // CloseAfter's reasonIndex, without a record
	leaving  atomic.Pointer[leaving.Channel]
}

func (s *scoped) Value(key any) any {
	if _, ours := key.(contextKey); ours {
		return s
	}
	return s.context.Value(key)
}

// String keeps a program that prints its context from reading what handlers write
// meanwhile, such as the header of the request that is in it.
func (s *scoped) String() string {
	const own = "politeclose exchange"
	if parent, ok := s.context.(fmt.Stringer); ok {
		return parent.String() + ".WithValue(" + own + ")"
	}
	return own
}

func (s *scoped) Deadline() (time.Time, bool) { return s.context.Deadline() }
func (s *scoped) Done() <-chan struct{}       { return s.context.Done() }
func (s *scoped) Err() error                  { return s.context.Err() }

// decider returns the exchange that decides for e: itself, or the one that it is
// part of.
func (e *Exchange) decider() *Exchange {
	if e.kind == partKind {
		return e.rare.owner
	}
	return e
}

// exchangeOf returns the exchange that decides for the request with this
// context, nil where there is none.
func exchangeOf(ctx context.Context) *Exchange {
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		return found.current.Load()
	case *scoped:
		return found.decider()
	}
	return nil
}

// The lowest bits of an exchange's state.
const (
	stateCommitted     = 1 << iota
	stateEnded                        //
	stateNotInFlight                  // it has ended, or may last as long as its connection
	statePostponed                    // the response will be written after the middleware
	stateHijacked                     //
	stateTold                         // the announcement has left, or is certain to
	stateTouched                      // somebody may have asked for the header map
	stateSensitive                    // the path or a route is one of OnRoutes, or Sensitive said so
	stateExemptPath                   // the path is one of Exempt
	stateRouted                       // a router has given the route when the response was written
	stateRoutedAhead                  // … or before it called the handler, in which another one may be
	stateRoutedOutside                // … and in it there is one that gives the route later, or none
	stateExemptRoute                  // the route is one of Exempt
	stateClientCloses                 // the request says that the client closes
	stateHTTP3                        //
	stateHasBody                      // the request has a body, whose end nobody asks for
	stateAdvertises                   // a response that keeps the connection gets a Keep-Alive field
	stateSkipped                      // no rule is asked
	stateElsewhere     = stateSkipped // of a part: it answers a recorder or the like, not the client

	matchShift  = 18 // the reason of the OnMatch rule that accepted the request
	reasonShift = 25 // the decision's

	stateHasRoute = stateRouted | stateRoutedAhead | stateRoutedOutside
)

func matchedIn(state uint32) reasonIndex { return reasonIndex(state >> matchShift & maxReasons) }

func decidedIn(state uint32) reasonIndex { return reasonIndex(state >> reasonShift & maxReasons) }

// untold reports whether there is an announcement that has not left.
func untold(state uint32) bool { return decidedIn(state) != 0 && state&stateTold == 0 }

// nobodys is the exchange of every request that counts for nobody.
var nobodys Exchange

// controller returns nil for noKind.
func (e *Exchange) controller() *Controller {
	switch {
	case e.conn != nil:
		return e.conn.ctl
	case e.rare != nil:
		return e.rare.ctl
	}
	return nil
}

// Decides reports whether the exchange takes a decision. It does not where
// another exchange of the same Controller answers the request, such as that of
// the handler that stdlib.Track puts in front of a server's. An adapter whose
// framework has a writer of its own then has nothing to write.
func (e *Exchange) Decides() bool { return e.kind != noKind && e.kind != partKind }

func (e *Exchange) sensitive() bool { return e.state.Load()&stateSensitive != 0 }

// exempted asks the route, or the path where the router gave none.
func exempted(state uint32) bool {
	if state&stateHasRoute != 0 {
		return state&stateExemptRoute != 0
	}
	return state&stateExemptPath != 0
}

// opened is when the connection was opened, as far as is known.
func (e *Exchange) opened() int64 {
	if e.conn != nil {
		return e.conn.opened
	}
	return shed.LongAgo
}

// lot is the connection's, so that a share of the connections goes and not a
// share of the responses, which would take the busiest first. Without a record
// there is nothing to remember it on.
func (e *Exchange) lot(c *Controller) shed.Lot {
	if e.conn != nil {
		return e.conn.lot
	}
	return c.lots.Draw()
}

// marked returns what was decided or asked before.
func (e *Exchange) marked() (mark, asked reasonIndex) {
	if e.conn != nil {
		return e.conn.marked()
	}
	return 0, reasonIndex(e.rare.scope.asked.Load())
}

// Postpone says that the response will be written after the middleware has
// returned, as echo's error handler does. End then takes no decision; the
// [Exchange.Writer] takes it when the response is written.
func (e *Exchange) Postpone() {
	if e.Decides() {
		e.state.Or(statePostponed)
	}
}

// notInFlight stops counting the exchange as in flight.
func (e *Exchange) notInFlight() {
	if e.state.Or(stateNotInFlight)&stateNotInFlight == 0 {
		e.controller().shardOf(e.conn).Ended.Add(1)
	}
}

// hijack takes the exchange out of HTTP: nothing is announced any more.
func (e *Exchange) hijack() {
	if e.kind == partKind {
		return // its owner's writer says so as well
	}
	e.state.Or(stateCommitted | stateHijacked)
	e.notInFlight()
}

// isHijacked reports whether the request's context says nothing about the
// client any more.
func (e *Exchange) isHijacked() bool { return e.state.Load()&stateHijacked != 0 }

// endLeaving closes the channel of an exchange that is over, unless its
// connection has been hijacked.
func (s *sharedRecord) endLeaving(e *Exchange) {
	if e.isHijacked() {
		return
	}
	s.mu.Lock()
	l := s.channel
	s.channel = nil
	s.mu.Unlock()
	if l != nil {
		l.Close(0)
	}
}

func (s *scoped) endLeaving() {
	l := s.leaving.Load()
	if l == nil || s.isHijacked() {
		return
	}
	if s.conn != nil {
		shared := s.conn.sharedRecord()
		shared.mu.Lock()
		delete(shared.streams, &s.Exchange)
		shared.mu.Unlock()
	}
	l.Close(0)
}
