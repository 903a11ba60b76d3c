package core

import (
	"net/http"
	"strings"

	"github.com/politeclose/politeclose/core/internal/shed"
)

// Commit takes the exchange's decision and, for a close, writes the announcement
// into h, which must be the header that is about to be sent with status. It is
// for a framework with a writer of its own; [Exchange.Writer] calls it by itself.
// The first call with a final status counts, later calls do nothing. A status
// from 100 to 199 other than 101 is not final and does nothing either (RFC 9110
// §15.2). 101 announces nothing; a writer whose connection was hijacked says so
// with it.
func (e *Exchange) Commit(h http.Header, status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	c := e.controller()
	if c == nil || e.owner() != nil {
		return
	}
	if before := e.add(stateCommitted); before&stateCommitted == 0 {
		e.settle(c, before, h, status)
	}
}

// settle is what the first Commit does, or End in its place. before is the state
// that they found.
func (e *Exchange) settle(c *Controller, before uint32, h http.Header, status int) {
	if before&stateAdopting != 0 {
		e.awaitAdopted()
	}
	if status == http.StatusSwitchingProtocols {
		e.leaveFlight() // the connection is no longer HTTP's to end
		return
	}
	if e.request.Close {
		e.clientClose(c, h)
		return
	}
	if reason := e.decide(c, h, status); reason != 0 {
		e.announce(c, h, reason)
	}
}

// clientClose is the client's own word: Connection: close in its request, or
// HTTP/1.0 without keep-alive. net/http closes then, and says so to HTTP/1.1.
func (e *Exchange) clientClose(c *Controller, h http.Header) {
	if e.conn == nil || e.conn.set(bitClientClose)&bitClientClose == 0 {
		c.clientInitiated.Add(1)
	}
	if connectionHeader(h) != nil {
		setClose(h)
	}
}

// decide asks the rules in their order and returns the reason of the first that
// wants the connection to end, 0 if none does.
func (e *Exchange) decide(c *Controller, h http.Header, status int) reasonIndex {
	mark, asked := e.marked()
	if mark != 0 {
		return mark
	}
	var now int64
	if c.rules&needsClock != 0 {
		now = c.now()
		if c.rules&hasFlag != 0 {
			c.drain.RefreshAt(now)
		}
	}
	if c.drainSince() != 0 && e.drains(c, now) {
		return drainIndex
	}
	if asked != 0 {
		return asked
	}
	if left := connectionHeader(h); left != nil && wantsClose(left) {
		return handlerIndex
	}
	var pattern string
	if c.rules&needsRoute != 0 {
		pattern = e.routePattern()
	}
	if e.state.Load()&stateSensitive != 0 || c.rules&hasRoutes != 0 && c.sensitive(pattern, e.request) {
		return routeIndex
	}
	if c.rules&hasMatch != 0 {
		for i := range c.matches {
			if m := &c.matches[i]; m.accepts(e.request, c.logger) {
				return m.reason
			}
		}
	}
	if c.rules&hasStatus != 0 && c.statuses.has(status) {
		return statusIndex
	}
	if c.rules&voluntary != 0 {
		return e.decideVoluntary(c, now, pattern)
	}
	return 0
}

// decideVoluntary asks the rules that Exempt keeps off and the budget caps.
func (e *Exchange) decideVoluntary(c *Controller, now int64, pattern string) reasonIndex {
	conn := e.conn
	var reason reasonIndex
	switch {
	case conn != nil && c.rules&hasAge != 0 && conn.tooOld(now):
		reason = ageIndex
	case conn != nil && c.rules&hasRequestCount != 0 && conn.usedUp():
		reason = requestsIndex
	case c.rules&hasLoad != 0 && e.overloaded(c, now):
		reason = loadIndex
	case conn != nil && c.rules&hasExcess != 0 && c.excess.due(conn, now):
		reason = excessIndex
	default:
		return 0
	}
	if c.rules&hasExempt != 0 && c.exempts(pattern, e.request) {
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

// allowed takes a voluntary close from the budget; one for load or excess has to
// be within that rule's own restraint as well.
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
	if c.spread == 0 {
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

func (e *Exchange) marked() (mark, asked reasonIndex) {
	if e.conn != nil {
		return e.conn.marked()
	}
	return 0, reasonIndex(untrackedOf(e).asked.Load())
}

// announce marks the connection and tells the client.
func (e *Exchange) announce(c *Controller, h http.Header, reason reasonIndex) {
	if e.conn != nil {
		if tell := e.conn.tell.Load(); tell != nil {
			deleteConnection(h) // on HTTP/2 net/http would make a GOAWAY of it, the last one at once
			e.conn.announce(*tell, reason, c.drainSince() != 0)
			return
		}
	}
	if e.request.ProtoMajor < 3 {
		setClose(h)
	} else {
		deleteConnection(h) // RFC 9114 §4.2: it would make the response malformed
	}
	conn := e.conn
	if conn == nil {
		c.countUntrackedClose(reason, e.request)
		return
	}
	if conn.setMark(reason) {
		conn.countClose(reason)
		conn.forgetLeaver()
	}
	// Where another exchange is under way, or none, this one was given up by a
	// handler above it and its header goes nowhere: the mark makes the next
	// response announce. A context that is done says only that it may have been
	// given up: a client that has closed its own side may still read.
	current := conn.current.Load()
	if (current == nil || current == e) && conn.bits.Load()&bitActive != 0 {
		bits := uint32(bitAnnounced)
		if c.drainSince() != 0 {
			bits |= bitAnnouncedDrain
		}
		if e.request.Context().Err() != nil {
			bits |= bitGivenUp
		}
		conn.clear(bitGivenUp)
		conn.set(bits)
	}
}

// setClose makes the header exactly "Connection: close". net/http keeps the
// connection open after any other spelling, and a second value would tell the
// client something else (net/http compares the first value with "close").
func setClose(h http.Header) {
	deleteConnection(h)
	h["Connection"] = []string{"close"}
}

func deleteConnection(h http.Header) {
	for name := range h {
		if len(name) == len("Connection") && strings.EqualFold(name, "Connection") {
			delete(h, name)
		}
	}
	delete(h, "Keep-Alive")
}

// connectionHeader returns what a handler left. A key that was not written
// through the Header's methods may be in lower case.
func connectionHeader(h http.Header) []string {
	if len(h) == 0 {
		return nil
	}
	if v := h["Connection"]; v != nil {
		return v
	}
	return h["connection"]
}

// wantsClose reports whether the close option is among the values (RFC 9110
// §7.6.1: a list, compared without regard to case).
func wantsClose(values []string) bool {
	for _, v := range values {
		for v != "" {
			var option string
			option, v, _ = strings.Cut(v, ",")
			if strings.EqualFold(strings.Trim(option, " \t"), "close") {
				return true
			}
		}
	}
	return false
}
