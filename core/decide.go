package core

import (
	"net/http"

	"github.com/politeclose/politeclose/core/internal/header"
)

// Commit takes the exchange's decision and, for a close, writes the
// announcement into h, which must be the header that is about to be sent with
// status. It is for a framework with a writer of its own; that of
// [Exchange.Writer] does the same by itself. The first call with a final status
// counts, later calls do nothing. A status from 100 to 199 other than 101 is not
// final and does nothing either (RFC 9110 §15.2). 101 announces nothing; a writer
// whose connection was hijacked says so with it. Where the exchange does not
// decide, it does nothing. What it has changed in h can be taken back behind the
// write.
func (e *Exchange) Commit(h http.Header, status int) (change HeaderChange) {
	if !final(status) || !e.Decides() {
		return change
	}
	before := e.state.Or(stateCommitted)
	if before&stateCommitted == 0 {
		change.override = e.conclude(before, h, status)
	}
	if before&stateEnded != 0 {
		e.tellAtEnd() // a postponed response, or one to a panic
	}
	return change
}

// HeaderChange is what [Exchange.Commit] has changed in a header map. The zero
// value is nothing.
type HeaderChange struct{ override header.Override }

// Changed reports whether there is anything to take back.
func (c HeaderChange) Changed() bool { return c.override.Changed() }

// TakeBack puts the map into its former state, so that a cache or a logger that
// keeps it does not keep the announcement. It is called when the header has been
// written to w. Where that is none of net/http's own writers, which have taken
// their copy by then, it does nothing: another one may look at the map later. It may
// be called again, and is for the goroutine that writes the response.
func (c HeaderChange) TakeBack(w http.ResponseWriter) {
	if c.Changed() && shapeOf(w) != oddShaped {
		c.override.TakeBack()
	}
}

// final reports whether a status is the response's own. Below 100 and above 999
// net/http panics, and whoever recovers from that may still answer.
func final(status int) bool {
	return status >= 200 && status <= 999 || status == http.StatusSwitchingProtocols
}

// conclude is what the first commit does. before is the state that it found. h
// is the header map, nil where the handler has never asked for it: net/http
// copies the map of who has. It returns what it has changed in the map.
func (e *Exchange) conclude(before uint32, h http.Header, status int) (o header.Override) {
	c := e.controller()
	if e.kind == loneKind {
		c.sayUntracked()
	}
	if status == http.StatusSwitchingProtocols {
		e.notInFlight() // the connection is no longer HTTP's to end
		return o
	}
	if before&stateSkipped != 0 {
		return o
	}
	if before&stateClientCloses != 0 {
		return e.clientClose(c, h)
	}
	reason := e.decide(c, h, status)
	if reason == 0 {
		if before&stateAdvertises != 0 && e.conn.bits.Load()&bitLeft == 0 {
			return header.Advertise(e.header(h), *e.conn.sharedRecord().keepAlive.Load())
		}
		return o
	}
	e.state.Or(uint32(reason) << reasonShift)
	if e.conn != nil {
		e.conn.setMark(reason)
	}
	switch {
	case e.conn != nil && e.conn.tells():
		return header.DeleteConnection(h) // net/http would make a GOAWAY of it, the last one at once
	case before&stateHTTP3 != 0:
		return header.DeleteConnection(h) // RFC 9114 §4.2: it would make the response malformed
	}
	return header.SetClose(e.header(h))
}

func (e *Exchange) header(h http.Header) http.Header {
	if h == nil {
		return e.below.Header()
	}
	return h
}

// touched returns the header map, nil where nobody has asked for it.
func (e *Exchange) touched(state uint32) http.Header {
	if state&stateTouched == 0 {
		return nil
	}
	return e.below.Header()
}

// clientClose is the client's own word: Connection: close in its request, or
// HTTP/1.0 without keep-alive. net/http closes then, and says so to HTTP/1.1.
func (e *Exchange) clientClose(c *Controller, h http.Header) (o header.Override) {
	if e.conn == nil || e.conn.set(bitClientClose)&bitClientClose == 0 {
		c.clientInitiated.Add(1)
	}
	if header.Connection(h) != nil {
		return header.SetClose(h)
	}
	return o
}

func (c *Controller) sayUntracked() {
	c.untrackedSaid.Do(func() {
		c.logger.Warn("politeclose: a request came over a connection without a record: " +
			"age and request count cannot end it, and a share of the load or of a spread drain falls on responses; " +
			"give the server to stdlib.Track or stdlib.Serve. This is said once; Stats counts them")
	})
}

// decide asks the rules in their order and returns the reason of the first that
// wants the connection to end, 0 if none does.
func (e *Exchange) decide(c *Controller, h http.Header, status int) reasonIndex {
	reason, now := e.decideOwn(c, h, status)
	if reason == 0 && c.rules&voluntary != 0 {
		return e.decideVoluntary(c, now, e.state.Load())
	}
	return reason
}

// decideOwn asks the rules that no budget holds back. It returns the time as
// well where it had to read the clock.
func (e *Exchange) decideOwn(c *Controller, h http.Header, status int) (reason reasonIndex, now int64) {
	mark, asked := e.marked()
	if mark != 0 {
		return mark, 0
	}
	if c.rules&needsClock != 0 {
		now = c.now()
		if c.rules&hasFlag != 0 {
			c.drain.RefreshAt(now)
		}
	}
	if c.drainSince() != 0 && e.drains(c, now) {
		c.progress.awaitClose()
		return drainIndex, now
	}
	if asked != 0 {
		return asked, now
	}
	if len(h) > 0 && header.WantsClose(header.Connection(h)) {
		return handlerIndex, now
	}
	state := e.state.Load()
	if c.rules&needsRoute != 0 && e.mayHaveRoute(state) {
		state = e.lookAtRoute(c, state)
	}
	if state&stateSensitive != 0 {
		return routeIndex, now
	}
	if matched := matchedIn(state); matched != 0 {
		return matched, now
	}
	if c.rules&hasStatus != 0 && c.statuses.has(status) {
		return statusIndex, now
	}
	return 0, now
}

// decideVoluntary asks the rules that Exempt keeps off and the budget caps.
func (e *Exchange) decideVoluntary(c *Controller, now int64, state uint32) reasonIndex {
	conn := e.conn
	var reason reasonIndex
	switch {
	case conn != nil && c.rules&hasAge != 0 && conn.tooOld(now):
		reason = ageIndex
	case conn != nil && c.rules&hasRequestCount != 0 && conn.usedUp():
		reason = requestsIndex
	case c.rules&hasLoad != 0 && e.overloaded(c, now):
		reason = loadIndex
	case conn != nil && c.rules&hasExcess != 0 && !c.excess.resting.Load():
		if now == 0 {
			now = c.now()
		}
		if !c.excess.due(conn, now) {
			return 0
		}
		reason = excessIndex
	default:
		return 0
	}
	if exempted(state) {
		return 0
	}
	if now == 0 {
		now = c.now()
	}
	if !e.allowed(c, reason, now) {
		c.heldBack.Add(1)
		return 0
	}
	return reason
}

// allowed takes a voluntary close from the budget; one for load or excess has
// to be within that rule's own restraint as well.
func (e *Exchange) allowed(c *Controller, reason reasonIndex, now int64) bool {
	switch reason {
	case loadIndex:
		return c.load.Take(now, e.opened(), &c.budget)
	case excessIndex:
		return c.excess.Take(now, &c.budget)
	}
	return c.budget.Take(now)
}

func (e *Exchange) drains(c *Controller, now int64) bool {
	if c.schedule.AtOnce() {
		return true
	}
	if now == 0 {
		now = c.now()
	}
	return e.lot(c).Float() < c.drainShare(now)
}

func (e *Exchange) overloaded(c *Controller, now int64) bool {
	c.load.refresh(now)
	return c.load.Share(now) > 0 && c.load.Goes(e.lot(c), e.opened(), now)
}
