package core

import (
	"context"
	"crypto/tls"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/callback"
	"github.com/politeclose/politeclose/core/internal/counters"
	"github.com/politeclose/politeclose/core/internal/leaving"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// Connection is the record of one client connection, for servers; package
// stdlib is the one for net/http. Without it age, request count and a
// connection's own place in a spread drain are unknown.
//
// A server calls Open when it accepts the connection, hands Context on to the
// requests, and reports every later state. The zero value is a record that is
// not open yet; a record must not be copied. All methods are safe for
// concurrent use. Open and SetState take no lock that a request holds.
type Connection struct {
	// What each request reads comes first, to fill no more than one cache line.
	ctl      *Controller
	current  atomic.Pointer[Exchange]     // HTTP/1: the exchange under way
	shared   atomic.Pointer[sharedRecord] // made for HTTP/2 and for Leaving
	underWay atomic.Pointer[underWay]
	opened   int64 // since Controller.start, in nanoseconds
	bits     atomic.Uint32
	requests atomic.Uint32
	lot      shed.Lot

	served atomic.Uint32 // exchanges that ended while draining
	id     uint64
	conn   net.Conn // nil where the server did not give it
}

// sharedRecord is what few connections need.
type sharedRecord struct {
	mu      sync.Mutex                     // also orders the events of the announcement and of the end
	channel *leaving.Channel               // HTTP/1: of the exchange under way, or of who hijacked
	last    *leaving.Channel               // … or of the one before
	streams map[*Exchange]*leaving.Channel // HTTP/2: of the streams under way that have one

	tell       atomic.Pointer[func(Reason)] // HTTP/2: nil where a response's header announces
	keepAlive  atomic.Pointer[[]string]     // HTTP/1: what an Entry advertises
	overstayed atomic.Bool                  // it was cut after the AgeGrace
	announced  atomic.Int64                 // when it was, since Controller.start; 0 where nobody observed that
}

// The bits of a Connection: its mark and what CloseAfter asked for, each a
// reasonIndex, and what is known about it.
const (
	markShift  = 0
	askedShift = 7
	reasonMask = maxReasons

	bitEntered        = 1 << 14 // its requests come through an Entry
	bitCounted        = 1 << 15 // its end is in Stats.Closes, or must not be any more
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
	bitLeft           = 1 << 26 // CloseLeaving was called
	bitWasHijacked    = 1 << 27
	bitWasActive      = 1 << 28 // a request was under way when the server let go of it

	protocolShift = 29
	protocolMask  = 7
)

// shard returns the connection's part of the counters.
func (c *Connection) shard() *counters.Shard { return c.ctl.counters.Of(c.lot) }

// shardOf is shard where there may be no record.
func (c *Controller) shardOf(conn *Connection) *counters.Shard {
	if conn == nil {
		return c.counters.Any()
	}
	return conn.shard()
}

// Context returns ctx with the record in it, for every request of the
// connection.
func (c *Connection) Context(ctx context.Context) context.Context {
	return &connectionContext{ctx, c}
}

// connectionContext is context.WithValue at half the size.
type connectionContext struct {
	context.Context
	connection *Connection
}

type contextKey struct{}

func (c *connectionContext) Value(key any) any {
	if _, ours := key.(contextKey); ours {
		return c.connection
	}
	return c.Context.Value(key)
}

// Conn returns the connection that Open was given.
func (c *Connection) Conn() net.Conn { return c.conn }

// Socket returns what lies below all the layers of Conn that tell by a NetConn
// method, such as TLS; nil where the server did not give it.
func (c *Connection) Socket() net.Conn {
	socket := c.conn
	for {
		layer, ok := socket.(interface{ NetConn() net.Conn })
		if !ok {
			return socket
		}
		socket = layer.NetConn()
	}
}

// Remote returns the address of the connection's client, "" where it is not
// known.
//
// A net.Conn of the program's own may wait for its client before it answers, as
// one of the PROXY protocol does for its header, and may panic once it is closed.
// It is waited for 20 ms at most; who accepts connections does not ask. One that
// has a method AnswersAtOnce does neither.
func (c *Connection) Remote() string { return remote(c.conn) }

func remote(conn net.Conn) string {
	switch {
	case conn == nil:
		return ""
	case answersAtOnce(conn):
		return askFor(conn)
	}
	asked, answer := make(chan struct{}), make(chan string, 1)
	go func() {
		close(asked)
		address := ""
		defer func() {
			_ = recover()
			answer <- address
		}()
		address = askFor(conn)
	}()
	<-asked // on a busy machine that alone may take as long
	enough := time.NewTimer(callback.Patience)
	defer enough.Stop()
	select {
	case address := <-answer:
		return address
	case <-enough.C:
	}
	select {
	case address := <-answer: // both have come while the process did not get its turn
		return address
	default:
		return ""
	}
}

func askFor(conn net.Conn) string {
	if address := conn.RemoteAddr(); address != nil {
		return address.String()
	}
	return ""
}

// answersAtOnce is for those that nobody has to wait for, so that their address is
// known on a machine that is too busy for another goroutine within 20 ms, too.
func answersAtOnce(conn net.Conn) bool {
	switch c := conn.(type) {
	case *net.TCPConn, interface{ AnswersAtOnce() }:
		return true
	case *tls.Conn:
		return answersAtOnce(c.NetConn())
	}
	return false
}

// ID identifies the connection among all those of its Controller.
func (c *Connection) ID() uint64 { return c.id }

// Idle reports whether the connection is open and has no request under way.
func (c *Connection) Idle() bool { return c.bits.Load()&(bitOpen|bitActive) == bitOpen }

// Hijacked reports whether a handler took the connection over and has not
// closed it, as far as the server has said.
func (c *Connection) Hijacked() bool { return c.bits.Load()&bitHijacked != 0 }

// HTTP2 reports whether the connection is known to speak HTTP/2.
func (c *Connection) HTTP2() bool { return c.protocol() == protocolHTTP2 }

// HTTP1 reports whether a request of HTTP/1 has come over the connection.
func (c *Connection) HTTP1() bool {
	p := c.protocol()
	return p == protocolHTTP10 || p == protocolHTTP11
}

// tells reports whether AnnounceWith announces in place of a header.
func (c *Connection) tells() bool {
	s := c.shared.Load()
	return s != nil && s.tell.Load() != nil
}

func (c *Connection) set(bits uint32) (old uint32) { return c.bits.Or(bits) }

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
	if first && before&(bitOpen|bitHijacked) != 0 {
		c.shard().Leaving.Add(1)
	}
	if first && i == ageIndex {
		c.limitGrace()
	}
	return first
}

// limitGrace makes the connection end when the AgeGrace is over, if there is one.
func (c *Connection) limitGrace() {
	if c.ctl.ageGrace > 0 {
		time.AfterFunc(c.ctl.ageGrace, c.cutOld)
	}
}

// cutOld ends a connection that has outlived the AgeGrace.
func (c *Connection) cutOld() {
	if c.bits.Load()&(bitOpen|bitHijacked) == 0 {
		return
	}
	if socket := c.Socket(); socket != nil {
		c.sharedRecord().overstayed.Store(true)
		_ = socket.Close()
	}
}

func (c *Connection) overstayed() bool {
	s := c.shared.Load()
	return s != nil && s.overstayed.Load()
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

// speak notes the protocol, once, and counts the connection under it.
func (c *Connection) speak(p protocol) {
	if c.protocol() != protocolUnknown || p == protocolUnknown {
		return
	}
	// The first streams of an HTTP/2 connection may begin at once.
	if before := c.set(uint32(p) << protocolShift); before>>protocolShift&protocolMask == uint32(protocolUnknown) {
		c.ctl.opened[p].Add(1)
	}
}

func (c *Connection) protocol() protocol {
	return protocol(c.bits.Load() >> protocolShift & protocolMask)
}

// age returns how long the connection has been open, in nanoseconds.
func (c *Connection) age(now int64) int64 { return now - c.opened }

// tooOld and usedUp draw the limit only where it may be near: most exchanges of
// a connection are before that.
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

// closeLeaving closes the channels of the connection's streams, but for that of
// by.
func (c *Connection) closeLeaving(reason reasonIndex, by *Exchange) {
	s := c.shared.Load()
	if s == nil {
		return
	}
	var all []*leaving.Channel
	s.mu.Lock()
	if s.channel != nil {
		all = append(all, s.channel)
	}
	for stream, l := range s.streams {
		if stream != by {
			all = append(all, l)
		}
	}
	s.mu.Unlock()
	for _, l := range all {
		l.Close(uint32(reason))
	}
}
