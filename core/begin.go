package core

import (
	"net/http"
	"reflect"

	"github.com/politeclose/politeclose/core/internal/pattern"
)

// Begin starts an exchange. The request it returns is the one to hand on: on an
// HTTP/1 connection with a record it is the same one, and elsewhere a copy
// whose context knows the Exchange.
//
// Where the server's own handler has begun the exchange already, or another
// middleware of the same Controller, this one is part of that one: it hands on
// its route and its Sensitive, and everything else about it does nothing. The
// same holds for a request that a handler makes itself with the context of the
// one that it serves. What it does counts for nobody once that exchange is
// over, and where neither its writer nor its context tells: on HTTP/1 one that can
// never be done, as context.WithoutCancel makes it. One with an end of its own that
// is derived from such a context is taken for one of the exchange under way.
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

// BeginInPlace is Begin for a framework that goes on with the request that it was
// called with, whatever its middleware hands on, as echo's router does behind Pre.
// Where Begin returns a copy, the request itself becomes that, and what it was is
// the copy. Nobody else may be reading it meanwhile. A nil Controller changes nothing.
func (c *Controller) BeginInPlace(r *http.Request) *Exchange {
	handed, e := c.Begin(r)
	if handed != r {
		s := e.rare.scope
		*r, s.copied = s.copied, *r
		s.request, s.given = r, &s.copied
	}
	return e
}

// Skip leaves the exchange out whose response is written to w, if there is one:
// no rule ends the connection with it, not even a drain. It is what an adapter's
// Skipper does in the place of Begin. A writer that hides what it writes to, such
// as a recorder, skips nothing.
func (c *Controller) Skip(w http.ResponseWriter) {
	if c == nil {
		return
	}
	if e := c.exchangeBelow(w); e != nil {
		e.state.Or(stateSkipped)
	}
}

// Report takes the place of Begin in an adapter whose router finds the route
// before it calls the middleware, and calls the middleware again each time that
// a handler makes it route the request anew, as gin does. It tells the exchange
// whose response is written to w the pattern of that route, and whether it is
// sensitive. It returns false, and Begin is needed, where there is no such
// exchange or it has ended, where r is not of it, and where route is empty or
// the Controller nil.
//
// Of several routes the one that is reported last counts for Exempt, as the
// innermost one. It allocates nothing, and is for the goroutine that serves the
// request.
func (c *Controller) Report(w http.ResponseWriter, r *http.Request, route string, sensitive bool) bool {
	if c == nil || route == "" {
		return false
	}
	e := c.exchangeBelow(w)
	if e == nil || e.state.Load()&stateEnded != 0 || !e.serves(r) || e.outlives(r.Context()) {
		return false
	}
	reaches := e.reachesSensitivePath(c, r)
	if c.rules&needsRoute != 0 && e.noteRoute(c, route, stateRoutedAhead, func() pattern.Request { return c.requestNow(r) }) {
		reaches = true
	}
	if sensitive || reaches {
		e.Sensitive()
	}
	return true
}

// Supply takes the place of Begin and of [Exchange.Writer] in an adapter whose
// router knows the route only when its handler writes. It gives route, as
// [Exchange.UseRoute] does, to the exchange whose own writer w is, and says
// whether it is sensitive. The request is handed on as it is, with the writer
// that Supply returns, and End of the Supplied is to be deferred, before the
// router recycles the route. With a nil route it is the request's Pattern, as
// without UseRoute.
//
// It returns false, and Begin is needed, where w is another writer, where the
// exchange has ended, where r is not of it, or a copy and route is nil, where the
// writer is another router's already, and where the Controller is nil. It
// allocates at most once, and only where a rule looks at routes. It is for the
// goroutine that serves the request.
func (c *Controller) Supply(w http.ResponseWriter, r *http.Request, route Route, sensitive bool) (http.ResponseWriter, Supplied, bool) {
	if c == nil {
		return w, Supplied{}, false
	}
	e, before := suppliedTo(w)
	if e == nil || !e.Decides() || e.controller() != c || e.state.Load()&stateEnded != 0 || !e.serves(r) {
		return w, Supplied{}, false
	}
	var supplied Supplied
	if c.rules&needsRoute != 0 {
		switch {
		case before != nil && route != nil && same(before.route, route):
		case before != nil, route == nil && r != e.request:
			return w, Supplied{}, false
		case route != nil:
			w, supplied.to = newSupply(w, r, route)
			e.surround()
		}
	}
	if e.reachesSensitivePath(c, r) || sensitive {
		e.Sensitive()
	}
	return w, supplied, true
}

// Supplied is a route that [Controller.Supply] has given to an exchange. The zero
// value is one that the exchange has without it, or that no rule asks for.
type Supplied struct{ to *supply }

// End asks for the route where the response has not been written yet. It costs
// nothing where it has, and is for the goroutine that serves the request.
func (s Supplied) End() {
	if s.to != nil {
		s.to.report()
	}
}

// serves reports whether the exchange is that of a request's context. A handler may
// have put another one in its place, also in the very request that was handed on.
func (e *Exchange) serves(r *http.Request) bool {
	ctx := r.Context()
	// At the entry it is net/http's, which can be compared.
	return e.place == atTheEntry && e.kind == ownKind && ctx == e.context || exchangeOf(ctx) == e
}

// same reports whether two routes are one. Comparing might panic where a program
// has put a context of its own in the place of echo's.
func same(a, b Route) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// begin is for a middleware on a connection with a record.
func (c *Connection) begin(r *http.Request) (*http.Request, *Exchange) {
	if c.bits.Load()&bitEntered != 0 {
		// What is the connection's own has passed the entry.
		return r, c.ctl.beginPart(c.current.Load(), r)
	}
	if r.ProtoMajor == 2 {
		return c.beginStream(r, somewhere)
	}
	// An exchange whose context is done was given up by a handler above it,
	// such as http.TimeoutHandler, and this is the connection's next request.
	// Where it is this request that was given up, nobody will see what it does.
	if outer := c.current.Load(); outer != nil && outer.context.Err() == nil {
		if r.Context().Err() != nil {
			return r, &nobodys
		}
		return r, c.ctl.beginPart(outer, r)
	}
	return r, c.beginOwn(r, somewhere, 0)
}

func (c *Connection) beginOwn(r *http.Request, where place, known uint32) *Exchange {
	var e *Exchange
	if c.ctl.rules&byHost == 0 {
		e = new(Exchange)
	} else {
		e = newLined(r)
	}
	e.kind, e.place, e.conn, e.request, e.context = ownKind, where, c, r, r.Context()
	e.look(c.ctl, r, known)
	if u := c.underWay.Load(); u != nil {
		c.note(u, r)
	}
	c.current.Store(e)
	c.count(r)
	return e
}

func newScoped(k kind, c *Controller, r *http.Request, where place) *scoped {
	s := &scoped{protocol: protocolOf(r.ProtoMajor, r.ProtoMinor)}
	s.rare = rare{ctl: c, scope: s, given: r}
	s.Exchange.kind, s.Exchange.rare, s.Exchange.context = k, &s.rare, r.Context()
	s.place = where
	s.look(c, r, 0)
	s.copied = *r.WithContext(s)
	s.request = &s.copied
	return s
}

// beginStream begins the exchange of an HTTP/2 stream.
func (c *Connection) beginStream(r *http.Request, where place) (*http.Request, *Exchange) {
	s := newScoped(streamKind, c.ctl, r, where)
	s.conn = c
	c.count(r)
	return s.request, &s.Exchange
}

// beginLone begins an exchange whose connection has no record.
func (c *Controller) beginLone(r *http.Request) (*http.Request, *Exchange) {
	s := newScoped(loneKind, c, r, somewhere)
	c.untracked.Add(1)
	c.shardOf(nil).Begun.Add(1)
	return s.request, &s.Exchange
}

func (c *Controller) sayForeign() {
	c.foreignSaid.Do(func() {
		c.logger.Warn("politeclose: a request of one Controller came to a middleware of another one: " +
			"both decide, and the second one does not know the connection; give the server and its middleware the same Controller. " +
			"This is said once; Stats.Untracked counts them")
	})
}

func (c *Connection) count(r *http.Request) {
	c.shard().Begun.Add(1)
	if c.requests.Add(1) == 1 {
		c.speakAs(r)
	}
}

// speakAs notes the protocol of the connection's first request.
func (c *Connection) speakAs(r *http.Request) { c.speak(protocolOf(r.ProtoMajor, r.ProtoMinor)) }

// look reads what the rules need of the request before a handler can change it.
// The request is the handler's from then on.
func (e *Exchange) look(c *Controller, r *http.Request, bits uint32) {
	if r.Close {
		bits |= stateClientCloses
	}
	if r.ContentLength != 0 {
		bits |= stateHasBody
	}
	if r.ProtoMajor > 2 {
		bits |= stateHTTP3
	}
	if c.rules&needsRoute != 0 && c.atPaths&glanceAt(r) != 0 {
		bits |= c.lookAtPath(r)
	}
	if c.rules&hasMatch != 0 && !r.Close {
		bits |= uint32(c.matching(r)) << matchShift
	}
	if e.place != atTheEntry {
		bits |= stateTouched
	}
	if bits != 0 { // an atomic store takes as long as the rest
		e.state.Store(bits)
	}
}

// lookAtPath is for a path that may be one of OnRoutes or Exempt.
func (c *Controller) lookAtPath(r *http.Request) (bits uint32) {
	seen := glanceAt(r)
	if !c.routes.MissesPath(seen) && c.sensitivePath(r, pattern.Each) {
		bits |= stateSensitive
	}
	if !c.exempt.MissesPath(seen) && c.exemptPath(r) {
		bits |= stateExemptPath
	}
	return bits
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

// End ends the exchange. It is to be deferred, so that a panic leaves no count
// behind. Where nothing has been written through the Writer yet it is the
// commit point, since net/http writes the header right after. Calling it again
// does nothing.
func (e *Exchange) End() { e.EndAfter(true) }

// EndAfter is End for who knows whether the handler has returned, and has not
// panicked. After a panic the announcement is still there for who recovers above
// and answers, but without a connection record it counts only where it has left:
// net/http drops what it has held back of a response that is aborted.
func (e *Exchange) EndAfter(returned bool) {
	switch e.kind {
	case noKind:
		return
	case partKind:
		e.report()
		if e.rare.scope != nil {
			e.rare.scope.handFormBack()
		}
		return
	}
	if e.below != nil && e.state.Load()&(stateCommitted|statePostponed) == 0 {
		if before := e.state.Or(stateCommitted); before&stateCommitted == 0 {
			e.conclude(before, e.touched(before), http.StatusOK)
		}
	}
	if returned || e.kind != loneKind {
		e.tellAtEnd()
	}
	e.end(true)
}

// end is what the end of an exchange has to do whether or not it has answered.
func (e *Exchange) end(answered bool) {
	e.ended(e.state.Or(stateEnded|stateNotInFlight), answered)
}

// ended is the rest of end. before is the state that this found.
func (e *Exchange) ended(before uint32, answered bool) {
	if before&stateEnded != 0 {
		return
	}
	c := e.controller()
	if before&stateNotInFlight == 0 {
		c.shardOf(e.conn).Ended.Add(1)
	}
	switch e.kind {
	case loneKind:
		e.rare.scope.end()
		return
	case streamKind:
		e.rare.scope.end()
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
	if s := c.shared.Load(); s != nil {
		s.endLeaving(e)
	}
	c.current.CompareAndSwap(e, nil)
}

// end is what the end of a scoped exchange has to do beside the others'.
func (s *scoped) end() {
	s.handFormBack()
	s.endLeaving()
}

// handFormBack makes a form that was parsed known to net/http, which removes its
// files.
func (s *scoped) handFormBack() {
	if s.given.MultipartForm == nil {
		s.given.MultipartForm = s.request.MultipartForm
	}
}
