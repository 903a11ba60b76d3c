package core

import (
	"context"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core/internal/shed"
)

// Leaving returns a channel that is closed when the stream of the request with
// this context has to go: in a drain (at its connection's own moment, with a
// [DrainSpread]), at the connection's age limit (which obeys [Exempt] and the
// [Budget]), when the server is shut down, when another stream's rule has ended
// its HTTP/2 connection, and when the stream is over or its client has gone. It
// is not closed because the stream's own response announces the connection's
// end, nor at a hijack. [LeavingReason] tells why.
//
// Handlers of streams select on it and return; one that does not is waited for
// until the drain's timeout.
//
// It returns nil, which blocks for ever in a select, where there is no Controller
// in ctx. The first call of an exchange makes the channel, and the exchange no
// longer counts as in flight after it, since it may last as long as its
// connection. A later stream of the same connection has a channel of its own. It
// is safe for concurrent use.
//
// The channel of a hijacked connection stays open after its handler, and until a
// drain where nobody knows when that connection ends: on a server that is not
// tracked, and on connections that are not stdlib.Listener's.
func Leaving(ctx context.Context) <-chan struct{} {
	if l := leaverOf(ctx, true); l != nil {
		return l.channel
	}
	return nil
}

// LeavingReason returns why the [Leaving] channel of the stream with this context
// is closed: [ReasonDrain], also for the server's shutdown, [ReasonAge], or the
// reason for which another stream ended the HTTP/2 connection. It is "" while the
// channel is open, where there is none, and where it is closed because the
// request is over or its client has gone. It costs a context look-up and is safe
// for concurrent use.
func LeavingReason(ctx context.Context) Reason {
	if l := leaverOf(ctx, false); l != nil {
		return l.why()
	}
	return ""
}

// leaverOf returns the leaver of the exchange with this context, making it where
// there is none and make says so.
func leaverOf(ctx context.Context, make bool) *leaver {
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		return found.leaver(ctx, make)
	case *scoped:
		e := found.decider()
		if e.kind == ownKind {
			return e.conn.leaver(ctx, make)
		}
		return e.more.scope.leaver(make)
	}
	return nil
}

// leaver returns that of the HTTP/1 exchange under way, or of the connection's
// new owner after a hijack.
func (c *Connection) leaver(ctx context.Context, make bool) *leaver {
	e := c.current.Load()
	if c.bits.Load()&(bitHijacked|bitLost) == 0 && (e == nil || ctx.Err() != nil) {
		return c.lastLeaver()
	}
	if e != nil && make {
		e.leaveFlight()
	}
	s := c.sharedRecord()
	s.mu.Lock()
	l := s.leaver
	begun := l == nil && make
	if begun {
		l = c.ctl.leavers.add(c.lot)
		s.leaver, s.last = l, l
	}
	s.mu.Unlock()
	switch {
	case !begun:
	case e != nil:
		c.watch(l, e)
		if e.state.Load()&stateEnded != 0 {
			c.endLeaving(e)
		}
	case c.bits.Load()&(bitHijacked|bitLost) == 0:
		l.leave(0)
	}
	return l
}

// lastLeaver is for an exchange that is over. It says why that one had to go,
// unless the connection has gone on to another stream.
func (c *Connection) lastLeaver() *leaver {
	if s := c.shared.Load(); s != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.last != nil && s.last.closed() {
			return s.last
		}
	}
	return closedLeaver
}

// watch makes the leaver follow what ends a stream beside a drain.
func (c *Connection) watch(l *leaver, e *Exchange) {
	if c.bits.Load()&bitLeft != 0 {
		l.leave(drainIndex)
		return
	}
	if c.ctl.rules&hasAge != 0 {
		l.askAfter(time.Duration(c.ageLimit()-c.age(c.ctl.now())), func() (reasonIndex, bool) { return c.leavesForAge(e) })
	}
	l.follow(e)
}

// leavesForAge reports whether the stream of e has to go because its connection
// is too old, and whether to ask again where it has not.
func (c *Connection) leavesForAge(e *Exchange) (reason reasonIndex, again bool) {
	if mark, _ := c.marked(); mark != 0 {
		return 0, false // the connection ends already, by this very response
	}
	if exempted(e.state.Load()) {
		return 0, false
	}
	if !c.ctl.budget.Take(c.ctl.now()) {
		c.ctl.heldBack.Add(1)
		return 0, true
	}
	if c.tells() {
		c.announce(ageIndex, e)
	} else {
		c.setMark(ageIndex)
	}
	return ageIndex, false
}

// endLeaving closes the channel of an exchange that is over, unless its
// connection has been hijacked.
func (c *Connection) endLeaving(e *Exchange) {
	s := c.shared.Load()
	if s == nil || e.state.Load()&stateHijacked != 0 {
		return
	}
	s.mu.Lock()
	l := s.leaver
	s.leaver = nil
	s.mu.Unlock()
	if l != nil {
		l.leave(0)
	}
}

// leaveAll closes the channels of the connection's streams, but for that of by.
func (c *Connection) leaveAll(reason reasonIndex, by *Exchange) {
	s := c.shared.Load()
	if s == nil {
		return
	}
	var all []*leaver
	s.mu.Lock()
	if s.leaver != nil {
		all = append(all, s.leaver)
	}
	for stream, l := range s.streams {
		if stream != by {
			all = append(all, l)
		}
	}
	s.mu.Unlock()
	for _, l := range all {
		l.leave(reason)
	}
}

// leaver returns that of a stream or of an exchange without a record.
func (s *scoped) leaver(make bool) *leaver {
	l := s.leaving.Load()
	if l != nil || !make {
		return l
	}
	s.leaveFlight()
	c := s.controller()
	if s.conn != nil {
		l = c.leavers.add(s.conn.lot)
	} else {
		l = c.leavers.add(c.lots.Draw())
	}
	if !s.leaving.CompareAndSwap(nil, l) {
		l.leave(0)
		return s.leaving.Load()
	}
	if s.conn != nil {
		s.conn.addStream(&s.Exchange, l)
	} else {
		l.follow(&s.Exchange)
	}
	if state := s.state.Load(); state&stateEnded != 0 && state&stateHijacked == 0 {
		s.endLeaving()
	}
	return l
}

// addStream takes the leaver of a stream among those of its connection.
func (c *Connection) addStream(e *Exchange, l *leaver) {
	s := c.sharedRecord()
	s.mu.Lock()
	if s.streams == nil {
		s.streams = make(map[*Exchange]*leaver)
	}
	s.streams[e] = l
	s.mu.Unlock()
	bits := c.bits.Load()
	switch mark, _ := c.marked(); {
	case bits&bitOpen == 0:
		l.leave(0)
	case bits&bitAnnounced != 0 && c.tells() && decidedIn(e.state.Load()) == 0:
		l.leave(mark) // another stream's rule has ended the connection
	default:
		c.watch(l, e)
	}
}

func (s *scoped) endLeaving() {
	l := s.leaving.Load()
	if l == nil || s.state.Load()&stateHijacked != 0 {
		return
	}
	if s.conn != nil {
		shared := s.conn.sharedRecord()
		shared.mu.Lock()
		delete(shared.streams, &s.Exchange)
		shared.mu.Unlock()
	}
	l.leave(0)
}

// leaver is one Leaving channel.
type leaver struct {
	channel chan struct{}
	lot     shed.Lot
	all     *leavers // nil of closedLeaver

	// What may close it. They belong to leavers.mu.
	drain   *time.Timer // nil while there is no drain
	asking  *time.Timer // nil without a limit of its own
	unwatch func() bool
	reason  reasonIndex
}

// closedLeaver is that of every exchange that is over.
var closedLeaver = func() *leaver {
	l := &leaver{channel: make(chan struct{})}
	close(l.channel)
	return l
}()

func (l *leaver) closed() bool {
	select {
	case <-l.channel:
		return true
	default:
		return false
	}
}

func (l *leaver) why() Reason {
	if l.all == nil {
		return ""
	}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if l.reason == 0 {
		return ""
	}
	return l.all.ctl.reason(l.reason)
}

// follow closes the channel when the client of e is gone. After a hijack the
// request's context says nothing about that.
func (l *leaver) follow(e *Exchange) {
	stop := context.AfterFunc(e.context, func() {
		if e.state.Load()&stateHijacked == 0 {
			l.leave(0)
		}
	})
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if _, open := l.all.open[l]; !open {
		stop()
		return
	}
	l.unwatch = stop
}

// askAfter asks for the first time after d, and then once a second as long as
// the answer wants it.
func (l *leaver) askAfter(d time.Duration, ask func() (reason reasonIndex, again bool)) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if _, open := l.all.open[l]; !open {
		return
	}
	l.asking = time.AfterFunc(d, func() {
		switch reason, again := ask(); {
		case reason != 0:
			l.leave(reason)
		case again:
			l.askAfter(time.Second, ask)
		}
	})
}

// leave closes the channel and everything that waited to do so. The zero reason
// is that nobody is left to be told.
func (l *leaver) leave(reason reasonIndex) {
	if l.all == nil {
		return
	}
	l.all.remove(l, reason)
}

// leavers are the open ones. They are few, so one lock is enough; no exchange
// takes it that has no stream.
type leavers struct {
	ctl     *Controller
	mu      sync.Mutex
	open    map[*leaver]struct{}
	unwatch func() // nil while no channel is open
}

func (ls *leavers) init(ctl *Controller) { ls.ctl = ctl }

func (ls *leavers) add(lot shed.Lot) *leaver {
	l := &leaver{channel: make(chan struct{}), lot: lot, all: ls}
	ls.ctl.drain.Refresh()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.open == nil {
		ls.open = make(map[*leaver]struct{})
	}
	ls.open[l] = struct{}{}
	if ls.unwatch == nil {
		ls.unwatch = ls.ctl.drain.Watch(ls.update)
	}
	ls.schedule(l)
	return l
}

func (ls *leavers) remove(l *leaver, reason reasonIndex) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if _, ok := ls.open[l]; !ok {
		return
	}
	delete(ls.open, l)
	l.reason = reason
	close(l.channel)
	for _, t := range []*time.Timer{l.drain, l.asking} {
		if t != nil {
			t.Stop()
		}
	}
	if l.unwatch != nil {
		l.unwatch()
	}
	if len(ls.open) == 0 {
		ls.unwatch()
		ls.unwatch = nil
	}
}

// update follows a change of the drain flag.
func (ls *leavers) update() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for l := range ls.open {
		ls.schedule(l)
	}
}

// schedule sets l's own moment in the drain, or takes it back.
func (ls *leavers) schedule(l *leaver) {
	if l.drain != nil {
		l.drain.Stop()
		l.drain = nil
	}
	since := ls.ctl.drainSince()
	if since == 0 {
		return
	}
	moment := since + int64(l.lot.Float()*float64(ls.ctl.spread))
	l.drain = time.AfterFunc(time.Duration(moment-ls.ctl.now()), func() { ls.remove(l, drainIndex) })
}
