package core

import (
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/counters"
)

// Open fills the record for a connection accepted now. It must be called once,
// before any other method. conn is what Conn returns, and is asked for the
// client's address; it may be nil.
func (c *Connection) Open(ctl *Controller, conn net.Conn) {
	now := ctl.now()
	c.ctl = ctl
	c.conn = conn
	c.id = ctl.connections.Add(1)
	c.opened = now
	c.lot = ctl.lots.Draw()
	if share := ctl.drainShare(now); share > 0 {
		// The connections that came before have had their share of the drain;
		// this one has the rest of it before itself.
		c.lot = c.lot.Within(share, 1)
	}
	c.set(bitOpen)
	c.shard().Open.Add(1)
	c.observe(EventAccepted, 0, nil)
}

// AnnounceWith makes announce tell the client that the connection ends, and
// why, in place of a response's header: a GOAWAY, on HTTP/2. It must be called
// before the first exchange. announce is called at most once and must not wait.
func (c *Connection) AnnounceWith(announce func(Reason)) {
	c.sharedRecord().tell.Store(&announce)
	c.speak(protocolHTTP2)
	c.ctl.tellUnasked()
}

// UntilDrain returns how long it is until the connection's own moment in the
// drain, 0 or less where that has come, and whether the Controller is draining
// at all. Without a [DrainSpread] or a [DrainDelay] the moment is the drain's
// beginning.
func (c *Connection) UntilDrain() (wait time.Duration, draining bool) {
	since := c.ctl.drainSince()
	moment := c.ctl.schedule.Moment(since, c.lot)
	return time.Duration(moment - c.ctl.now()), since != 0
}

// AnnounceDrain announces the drain without waiting for a response to do it. It
// does nothing where only a response can.
func (c *Connection) AnnounceDrain() {
	if c.tells() {
		c.set(bitAnnouncedDrain)
		c.announce(drainIndex, nil)
	}
}

// CloseLeaving closes the connection's [Leaving] channels, for a server that is
// shut down without a drain.
func (c *Connection) CloseLeaving() {
	c.set(bitLeft)
	c.closeLeaving(drainIndex, nil)
}

// SetState reports a state as net/http does. It returns true with
// [http.StateIdle] where the connection must be closed now: its last response
// was announced as such, whatever became of the header later.
//
// [http.StateHijacked] counts the connection as hijacked until
// [http.StateClosed] is reported for it.
func (c *Connection) SetState(state http.ConnState) (mustClose bool) {
	s := c.shard()
	switch state {
	case http.StateActive:
		if c.bits.Load()&bitActive == 0 {
			c.activate() // first, so that UnderWay never has the request before
			if c.set(bitActive)&bitActive == 0 {
				s.Active.Add(1)
			}
		}
	case http.StateIdle:
		c.leaveActive(s)
		return c.mustClose()
	case http.StateHijacked:
		c.leaveActive(s)
		c.giveBackLast()
		c.becomeHijacked(s)
		if e := c.current.Load(); e != nil {
			e.hijack()
		}
	case http.StateClosed:
		if c.leaveActive(s) {
			c.set(bitWasActive)
		}
		c.giveBackLast()
		if before := c.leaveOpen(s); before&bitLost == 0 {
			c.closeLeaving(0, nil)
		}
	}
	return false
}

// Retire takes the connection out of service and reports whether that was in
// time: false where a request has begun, or the server has let go of it. After
// true no request on it reaches the handler: an [Entry] aborts one that the
// server had read already, with [http.ErrAbortHandler]. So a server can answer
// for requests that it has not seen. It is for HTTP/1.
func (c *Connection) Retire() bool {
	for {
		before := c.bits.Load()
		if before&(bitOpen|bitActive) != bitOpen {
			return false
		}
		if c.bits.CompareAndSwap(before, before&^bitOpen) {
			s := c.shard()
			s.Open.Add(-1)
			if markOf(before) != 0 {
				s.Leaving.Add(-1)
			}
			return true
		}
	}
}

// retired reports whether a request has begun after Retire: in no other state is
// a connection active that is not open.
func retired(bits uint32) bool {
	return bits&(bitOpen|bitActive|bitHijacked) == bitActive
}

func (c *Connection) leaveActive(s *counters.Shard) (wasActive bool) {
	if c.clear(bitActive)&bitActive == 0 {
		return false
	}
	c.deactivate()
	s.Active.Add(-1)
	return true
}

// becomeHijacked makes an open connection a hijacked one in a single step, so
// that a mark meanwhile is counted once.
func (c *Connection) becomeHijacked(s *counters.Shard) {
	for {
		before := c.bits.Load()
		if before&bitOpen == 0 {
			return
		}
		if c.bits.CompareAndSwap(before, before&^bitOpen|bitHijacked|bitWasHijacked) {
			s.Open.Add(-1)
			s.Hijacked.Add(1)
			return
		}
	}
}

func (c *Connection) leaveOpen(s *counters.Shard) (before uint32) {
	before = c.clear(bitOpen | bitHijacked)
	if before&bitOpen != 0 {
		s.Open.Add(-1)
	}
	if before&bitHijacked != 0 {
		s.Hijacked.Add(-1)
	}
	if before&(bitOpen|bitHijacked) != 0 && markOf(before) != 0 {
		s.Leaving.Add(-1)
	}
	return before
}

func (c *Connection) mustClose() bool {
	bits := c.bits.Load()
	if bits&bitAnnounced == 0 || c.HTTP2() {
		return false
	}
	if c.current.Load() != nil || bits&bitGivenUp != 0 {
		// The server goes on with the connection, so it was not told of the
		// close: a handler above the middleware (http.TimeoutHandler) answered
		// in its place, without our header. The next response announces.
		c.clear(bitAnnounced | bitAnnouncedDrain | bitGivenUp)
		return false
	}
	return true
}

// Announced reports whether the connection's end has been announced to the
// client, and whether that was during a drain.
func (c *Connection) Announced() (announced, inDrain bool) {
	bits := c.bits.Load()
	return bits&bitAnnounced != 0, bits&bitAnnouncedDrain != 0
}

// Served returns how many exchanges ended on the connection while the
// Controller was draining.
func (c *Connection) Served() int { return int(c.served.Load()) }

// ForgetServedBefore makes Served begin anew, unless draining says that there is
// a drain already. What ends while it is asked counts.
func (c *Connection) ForgetServedBefore(draining func() bool) {
	if before := c.served.Load(); before != 0 && !draining() {
		c.served.Add(-before)
	}
}

// InputAfterAnnounce reports that the client sent something that it should not
// have sent after the announcement: on HTTP/1 anything but the rest of the last
// request's body, on HTTP/2 a new stream after it had acknowledged the GOAWAY.
// It returns true the first time.
func (c *Connection) InputAfterAnnounce() bool {
	bits := c.bits.Load()
	if bits&bitAnnounced == 0 || bits&bitBodyPending != 0 {
		return false
	}
	if c.set(bitInput)&bitInput != 0 {
		return false
	}
	c.ctl.inputAfterAnnounce.Add(1)
	return true
}

// ends counts how connections ended, in the order of allHow.
type ends [len(allHow)]atomic.Uint64

func (e *ends) count(how How) {
	for i := range allHow {
		if allHow[i] == how {
			e[i].Add(1)
		}
	}
}

// Cut says that the server cuts the connection now: what its handler still
// announces reaches nobody, and is not counted.
func (c *Connection) Cut() { c.set(bitCounted) }

// Gone says that the connection is over: the server has let go of it and its
// socket is closed. It is the last thing to be said, and once.
//
// seen is what the server knows of the end. [HowForced] and [HowIdle] say that
// the server itself ended it, in a drain. [HowClient] and [HowError] say that
// the client's end, or a reset, was seen, and [HowUnknown] that the server does
// not look. An empty one says that there was nothing to see: net/http closed
// it.
func (c *Connection) Gone(seen How) {
	if seen == HowUnknown && c.Hijacked() {
		c.set(bitLost) // a stream on it goes on until a drain
	}
	c.SetState(http.StateClosed)
	if c.protocol() == protocolUnknown {
		c.ctl.opened[protocolUnknown].Add(1)
	}
	bits := c.set(bitCounted) // what a stream's handler still announces reaches nobody
	if s := c.shared.Load(); s != nil {
		s.mu.Lock() // countClose, which may have come just before, tells first
		defer s.mu.Unlock()
	}
	how := c.how(seen, bits)
	c.ctl.ended.count(how)
	c.observe(EventGone, bits, func() (How, time.Duration) {
		if how == HowAnnounced && seen == HowClient {
			return how, c.sinceAnnouncement()
		}
		return how, 0
	})
}

// how makes of what a server has seen what it means for this connection.
func (c *Connection) how(seen How, bits uint32) How {
	switch {
	case seen == HowForced || seen == HowIdle:
		return seen
	case c.overstayed():
		return HowForced
	case bits&bitAnnounced != 0:
		return HowAnnounced
	case bits&bitClientClose != 0:
		return HowClient
	case seen != "":
		return seen
	case bits&bitWasHijacked != 0:
		return HowHandler
	case bits&bitWasActive != 0:
		return HowError
	}
	return HowIdle
}

// sinceAnnouncement returns 0 where nobody observed the announcement.
func (c *Connection) sinceAnnouncement() time.Duration {
	if s := c.shared.Load(); s != nil {
		if announced := s.announced.Load(); announced != 0 {
			return time.Duration(c.ctl.now() - announced)
		}
	}
	return 0
}

// Age returns how long ago Open was called.
func (c *Connection) Age() time.Duration {
	return time.Duration(c.age(c.ctl.now()))
}

// Logger returns the logger of the option of that name, for servers that have
// something to say.
func (c *Controller) Logger() *slog.Logger { return c.logger }

// UsedUp is for servers: it reports whether ListenerClosed was called. Every
// response of a server that begins to serve with the Controller now would
// announce.
func (c *Controller) UsedUp() bool { return c.drain.Kept() }
