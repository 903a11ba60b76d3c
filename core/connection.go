package core

import (
	"context"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/politeclose/politeclose/core/internal/counters"
	"github.com/politeclose/politeclose/core/internal/leaving"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// Connection is the record of one client connection, for servers; package stdlib
// is the one for net/http. Without it age, request count and a connection's own
// place in a spread drain are unknown.
//
// A server calls Open when it accepts the connection, hands Context on to the
// requests, and reports every later state. The zero value is a record that is
// not open yet; a record must not be copied. All methods are safe for concurrent
// use. Open and SetState take no lock that a request holds.
type Connection struct {
	ctl      *Controller
	current  atomic.Pointer[Exchange]     // HTTP/1: the exchange under way
	shared   atomic.Pointer[sharedRecord] // made for HTTP/2 and for Leaving
	underWay atomic.Pointer[underWay]     // made for the first request
	conn     net.Conn                     // nil where the server did not give it
	id       uint64
	opened   int64 // since Controller.start, in nanoseconds
	lot      shed.Lot

	requests atomic.Uint32
	served   atomic.Uint32 // exchanges that ended while draining
	bits     atomic.Uint32
}

// sharedRecord is what few connections need.
type sharedRecord struct {
	mu      sync.Mutex
	leaver  *leaving.Channel               // HTTP/1: of the exchange under way, or of who hijacked
	last    *leaving.Channel               // … or of the one before
	streams map[*Exchange]*leaving.Channel // HTTP/2: of the streams under way that have one

	tell      atomic.Pointer[func(Reason)] // HTTP/2: nil where a response's header announces
	keepAlive atomic.Pointer[[]string]     // HTTP/1: what an Entry advertises
	announced atomic.Int64                 // when it was, since Controller.start; 0 where nobody observed that
}

// The bits of a Connection: its mark and what CloseAfter asked for, each a
// reasonIndex, and what is known about it.
const (
	markShift  = 0
	askedShift = 7
	reasonMask = maxReasons

	bitEntered        = 1 << 14 // its requests come through an Entry
	bitCounted        = 1 << 15 // its end is in Stats.Closes
	bitAnnounced      = 1 << 16 // a final header with the announcement was handed to the server
	bitAnnouncedDrain = 1 << 17 // … and it was during a drain
	bitLost           = 1 << 18 // it was hijacked, and nobody knows when it ends
	bitInput          = 1 << 19 // something came after the announcement
	bitClientClose    = 1 << 20 // the client said that it closes
	bitOpen           = 1 << 21
	bitActive         = 1 << 22
	bitHijacked       = 1 << 23
	bitBodyPending    = 1 << 24 // the announced exchange did not read all of its request's body
	bitGivenUp        = 1 << 25 // … or ended with its context done: its header may have gone nowhere
	bitLeft           = 1 << 26 // Leave was called
	bitWasHijacked    = 1 << 27
	bitWasActive      = 1 << 28 // a request was under way when the server let go of it

	protocolShift = 29
	protocolMask  = 7
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
	ctl.shard(c).Open.Add(1)
	c.observe(EventAccepted, nil)
}

// Conn returns the connection that Open was given.
func (c *Connection) Conn() net.Conn { return c.conn }

// AnnounceWith makes announce tell the client that the connection ends, and why,
// in place of a response's header: a GOAWAY, on HTTP/2. It must be called before
// the first exchange. announce is called at most once and must not wait.
func (c *Connection) AnnounceWith(announce func(Reason)) {
	c.sharedRecord().tell.Store(&announce)
	c.speak(protocolHTTP2)
}

// DrainDue reports whether the Controller is draining and, with a [DrainSpread],
// the connection's own moment has come.
func (c *Connection) DrainDue() bool {
	return c.lot.Float() < c.ctl.drainShare(c.ctl.now())
}

// AnnounceDrain announces the drain without waiting for a response to do it. It
// does nothing where only a response can.
func (c *Connection) AnnounceDrain() {
	if c.tells() {
		c.set(bitAnnouncedDrain)
		c.announce(drainIndex, nil)
	}
}

// Leave closes the connection's [Leaving] channels, for a server that is shut
// down without a drain.
func (c *Connection) Leave() {
	c.set(bitLeft)
	c.leaveAll(drainIndex, nil)
}

// tells reports whether AnnounceWith announces in place of a header.
func (c *Connection) tells() bool {
	s := c.shared.Load()
	return s != nil && s.tell.Load() != nil
}

// Context returns ctx with the record in it, for every request of the
// connection.
func (c *Connection) Context(ctx context.Context) context.Context {
	return &connectionContext{ctx, c}
}

// SetState reports a state as net/http does. It returns true with
// [http.StateIdle] where the connection must be closed now: its last response
// was announced as such, whatever became of the header later.
//
// [http.StateHijacked] counts the connection as hijacked until
// [http.StateClosed] is reported for it.
func (c *Connection) SetState(state http.ConnState) (mustClose bool) {
	s := c.ctl.shard(c)
	switch state {
	case http.StateActive:
		if c.set(bitActive)&bitActive == 0 {
			c.activate()
			s.Active.Add(1)
		}
	case http.StateIdle:
		c.leaveActive(s)
		return c.mustClose()
	case http.StateHijacked:
		c.leaveActive(s)
		if c.leaveOpen(s) {
			c.set(bitHijacked | bitWasHijacked)
			s.Hijacked.Add(1)
		}
		if e := c.current.Load(); e != nil {
			e.hijack()
		}
	case http.StateClosed:
		if c.leaveActive(s) {
			c.set(bitWasActive)
		}
		c.leaveOpen(s)
		before := c.clear(bitHijacked)
		if before&bitHijacked != 0 {
			s.Hijacked.Add(-1)
		}
		if before&bitLost == 0 {
			c.leaveAll(0, nil)
		}
	}
	return false
}

func (c *Connection) leaveActive(s *counters.Shard) (wasActive bool) {
	if c.clear(bitActive)&bitActive == 0 {
		return false
	}
	s.Active.Add(-1)
	return true
}

func (c *Connection) leaveOpen(s *counters.Shard) (left bool) {
	before := c.clear(bitOpen)
	if before&bitOpen == 0 {
		return false
	}
	s.Open.Add(-1)
	if markOf(before) != 0 {
		s.Leaving.Add(-1)
	}
	return true
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

// Idle reports whether the connection is open and has no request under way.
func (c *Connection) Idle() bool { return c.bits.Load()&(bitOpen|bitActive) == bitOpen }

// Hijacked reports whether a handler took the connection over and has not closed
// it, as far as the server has said.
func (c *Connection) Hijacked() bool { return c.bits.Load()&bitHijacked != 0 }

// Announced reports whether the connection's end has been announced to the
// client, and whether that was during a drain.
func (c *Connection) Announced() (announced, inDrain bool) {
	bits := c.bits.Load()
	return bits&bitAnnounced != 0, bits&bitAnnouncedDrain != 0
}

// Served returns how many exchanges ended on the connection while the Controller
// was draining.
func (c *Connection) Served() int { return int(c.served.Load()) }

// ForgetServed makes Served begin anew.
func (c *Connection) ForgetServed() { c.served.Store(0) }

// HTTP2 reports whether the connection is known to speak HTTP/2.
func (c *Connection) HTTP2() bool { return c.protocol() == protocolHTTP2 }

// InputAfterAnnounce reports that the client sent something that it should not
// have sent after the announcement: on HTTP/1 anything but the rest of the last
// request's body, on HTTP/2 a new stream after it had acknowledged the GOAWAY. It
// returns true the first time.
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

func (c *Connection) set(bits uint32) (old uint32)   { return c.bits.Or(bits) }
func (c *Connection) clear(bits uint32) (old uint32) { return c.bits.And(^bits) }

// marked returns the connection's mark and what CloseAfter asked for.
func (c *Connection) marked() (mark, asked reasonIndex) {
	bits := c.bits.Load()
	return markOf(bits), reasonIndex(bits >> askedShift & reasonMask)
}

func markOf(bits uint32) reasonIndex { return reasonIndex(bits >> markShift & reasonMask) }

// setMark marks the connection and reports whether it was the first to do so.
func (c *Connection) setMark(i reasonIndex) (first bool) {
	before, first := c.setOnce(markShift, i)
	if first && before&bitOpen != 0 {
		c.ctl.shard(c).Leaving.Add(1)
	}
	return first
}

func (c *Connection) ask(i reasonIndex) { c.setOnce(askedShift, i) }

func (c *Connection) setOnce(shift int, i reasonIndex) (before uint32, first bool) {
	for {
		before = c.bits.Load()
		if before>>shift&reasonMask != 0 {
			return before, false
		}
		if c.bits.CompareAndSwap(before, before|uint32(i)<<shift) {
			return before, true
		}
	}
}

// age returns how long the connection has been open, in nanoseconds.
func (c *Connection) age(now int64) int64 { return now - c.opened }

// ID identifies the connection among all those of its Controller.
func (c *Connection) ID() uint64 { return c.id }

// tooOld and usedUp draw the limit only where it may be near: most exchanges of a
// connection are before that.
func (c *Connection) tooOld(now int64) bool {
	age := c.age(now)
	return age >= int64(c.ctl.maxAge)/2 && age >= c.ageLimit()
}

func (c *Connection) usedUp() bool {
	requests := c.requests.Load()
	return int64(requests) >= int64(c.ctl.maxRequests)/2 && requests >= c.requestLimit()
}

// ageLimit and requestLimit are the connection's own limits, within ±10 %. They
// are drawn apart from each other and from the lot, so that a connection that
// goes early for one reason does not go early for all.
func (c *Connection) ageLimit() int64 {
	return jittered(int64(c.ctl.maxAge), c.lot.Other(1))
}

func (c *Connection) requestLimit() uint32 {
	return uint32(min(jittered(int64(c.ctl.maxRequests), c.lot.Other(2)), math.MaxUint32))
}

func jittered(limit int64, l shed.Lot) int64 {
	jitter := int64(math.Round(float64(limit) * (l.Float() - 0.5) / 5))
	if jitter > math.MaxInt64-limit {
		return math.MaxInt64
	}
	return limit + jitter
}

func (c *Connection) sharedRecord() *sharedRecord {
	if s := c.shared.Load(); s != nil {
		return s
	}
	s := new(sharedRecord)
	if !c.shared.CompareAndSwap(nil, s) {
		return c.shared.Load()
	}
	return s
}

// connectionContext is context.WithValue at half the size.
type connectionContext struct {
	context.Context
	connection *Connection
}

type contextKey struct{}

func (c *connectionContext) Value(key any) any {
	if key == (contextKey{}) {
		return c.connection
	}
	return c.Context.Value(key)
}
