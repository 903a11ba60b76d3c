package core

import (
	"context"
	"time"

	"github.com/politeclose/politeclose/core/internal/leaving"
)

// Leaving returns a channel that is closed when the stream of the request with
// this context has to go: in a drain (at its connection's own moment, with a
// [DrainSpread]), at the connection's age limit and when it is above the fair
// share (which both obey [Exempt] and the [Budget]), when the server is shut
// down, when another stream's rule has ended its HTTP/2 connection, and when the
// stream is over or its client has gone. It is not closed because the stream's
// own response announces the connection's end, nor at a hijack. [LeavingReason]
// tells why.
//
// Handlers of streams select on it and return; one that does not is waited for
// until the drain's timeout.
//
// It returns nil, which blocks for ever in a select, where there is no
// Controller in ctx. The first call of an exchange makes the channel, and the
// exchange no longer counts as in flight after it, since it may last as long as
// its connection. On HTTP/1 a context that is never done, as
// context.WithoutCancel makes it, takes none out: it may be of an earlier
// request. A later stream of the same connection has a channel of its own. It is
// safe for concurrent use.
//
// The channel of a hijacked connection stays open after its handler, and until
// a drain where nobody knows when that connection ends: on a server that is not
// tracked, and on connections that are not stdlib.Listener's.
func Leaving(ctx context.Context) <-chan struct{} {
	if l, _ := leavingOf(ctx, true); l != nil {
		return l.C
	}
	return nil
}

// LeavingReason returns why the [Leaving] channel of the stream with this
// context is closed: [ReasonDrain], also for the server's shutdown,
// [ReasonAge], [ReasonExcess], or the reason for which another stream ended the
// HTTP/2 connection. It is "" while the channel is open, where there is none,
// and where it is closed because the request is over or its client has gone. It
// costs a context look-up and is safe for concurrent use.
func LeavingReason(ctx context.Context) Reason {
	l, c := leavingOf(ctx, false)
	if l == nil {
		return ""
	}
	if reason := l.Reason(); reason != 0 {
		return c.reason(reasonIndex(reason))
	}
	return ""
}

// leavingOf returns the channel of the exchange with this context and its
// Controller. It makes one where there is none and begin says so.
func leavingOf(ctx context.Context, begin bool) (*leaving.Channel, *Controller) {
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		return found.leavingChannel(ctx, begin), found.ctl
	case *scoped:
		e := found.decider()
		if e.kind == ownKind {
			return e.conn.leavingChannel(e.context, begin), e.conn.ctl
		}
		return e.rare.scope.leavingChannel(begin), e.controller()
	}
	return nil, nil
}

// channel returns that of the HTTP/1 exchange under way, or of the connection's
// new owner after a hijack.
func (c *Connection) leavingChannel(ctx context.Context, begin bool) *leaving.Channel {
	e := c.current.Load()
	if c.bits.Load()&(bitHijacked|bitLost) == 0 && (e == nil || ctx.Err() != nil) {
		return c.lastChannel()
	}
	if e != nil && begin && e.owns(ctx) {
		e.notInFlight()
	}
	s := c.sharedRecord()
	s.mu.Lock()
	l := s.channel
	begun := l == nil && begin
	if begun {
		l = c.ctl.leaving.Add(c.lot)
		s.channel, s.last = l, l
	}
	s.mu.Unlock()
	switch {
	case !begun:
	case e != nil:
		c.watch(l, e)
		if e.state.Load()&stateEnded != 0 {
			s.endLeaving(e)
		}
	case c.bits.Load()&(bitHijacked|bitLost) == 0:
		l.Close(0)
	}
	return l
}

// lastChannel is for an exchange that is over. It says why that one had to go,
// unless the connection has gone on to another stream.
func (c *Connection) lastChannel() *leaving.Channel {
	if s := c.shared.Load(); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last != nil && s.last.Closed() {
			return s.last
		}
	}
	return leaving.Over
}

// watch makes the channel follow what ends a stream beside a drain.
func (c *Connection) watch(l *leaving.Channel, e *Exchange) {
	if c.bits.Load()&bitLeft != 0 {
		l.Close(uint32(drainIndex))
		return
	}
	if c.ctl.rules&hasAge != 0 {
		l.AskAfter(time.Duration(c.ageLimit()-c.age(c.ctl.now())), func() (uint32, bool) { return c.goesForAge(e) })
	}
	l.Follow(e.context, e.isHijacked)
	if c.ctl.rules&hasExcess != 0 {
		c.ctl.tellUnasked()
	}
}

// goesForAge reports whether the stream of e has to go because its connection
// is too old, and whether to ask again where it has not. That its own response
// has announced the connection's end changes nothing: it may be the stream that
// never comes to it.
func (c *Connection) goesForAge(e *Exchange) (reason uint32, again bool) {
	if exempted(e.state.Load()) {
		return 0, false
	}
	if !c.ctl.budget.Take(c.ctl.now()) {
		c.ctl.heldBack.Add(1)
		return 0, true
	}
	if first := c.setMark(ageIndex); !first {
		c.limitGrace()
	}
	if c.tells() {
		c.announce(ageIndex, e)
	}
	return uint32(ageIndex), false
}

// channel returns that of a stream or of an exchange without a record.
func (s *scoped) leavingChannel(begin bool) *leaving.Channel {
	l := s.leaving.Load()
	if l != nil || !begin {
		return l
	}
	s.notInFlight()
	c := s.controller()
	if s.conn != nil {
		l = c.leaving.Add(s.conn.lot)
	} else {
		l = c.leaving.Add(c.lots.Draw())
	}
	if !s.leaving.CompareAndSwap(nil, l) {
		l.Close(0)
		return s.leaving.Load()
	}
	if s.conn != nil {
		s.conn.addStream(&s.Exchange, l)
	} else {
		l.Follow(s.context, s.isHijacked)
	}
	if state := s.state.Load(); state&stateEnded != 0 && state&stateHijacked == 0 {
		s.endLeaving()
	}
	return l
}

// addStream takes the channel of a stream among those of its connection.
func (c *Connection) addStream(e *Exchange, l *leaving.Channel) {
	s := c.sharedRecord()
	s.mu.Lock()
	if s.streams == nil {
		s.streams = make(map[*Exchange]*leaving.Channel)
	}
	s.streams[e] = l
	s.mu.Unlock()
	bits := c.bits.Load()
	switch mark, _ := c.marked(); {
	case bits&bitOpen == 0:
		l.Close(0)
	case bits&bitAnnounced != 0 && c.tells() && decidedIn(e.state.Load()) == 0:
		l.Close(uint32(mark)) // another stream's rule has ended the connection
	default:
		c.watch(l, e)
	}
}
