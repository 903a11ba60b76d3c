package core

import (
	"net/http"

	"github.com/politeclose/politeclose/core/internal/header"
	"github.com/politeclose/politeclose/core/internal/shed"
)

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
		return drainIndex, now
	}
	if asked != 0 {
		return asked, now
	}
	if left := header.Connection(h); left != nil && header.WantsClose(left) {
		return handlerIndex, now
	}
	if c.rules&needsRoute != 0 {
		e.lookAtRoute(c)
	}
	state := e.state.Load()
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
	case conn != nil && c.rules&hasExcess != 0 && c.excess.due(conn, now):
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

// marked returns what was decided or asked before.
func (e *Exchange) marked() (mark, asked reasonIndex) {
	if e.conn != nil {
		return e.conn.marked()
	}
	return 0, reasonIndex(e.more.scope.asked.Load())
}
