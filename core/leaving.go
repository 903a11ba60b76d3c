package core

import (
	"context"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core/internal/shed"
)

// Leaving returns a channel that is closed when the connection of the request
// with this context has to go: in a drain (at the connection's own moment, with
// a [DrainSpread]), when its end has been announced by a response, at its age
// limit, when its server is shut down, and when it is gone. Handlers of streams select on it and return; one
// that does not is waited for until the drain's timeout.
//
// It returns nil, which blocks for ever in a select, where there is no Controller
// in ctx. The first call on a connection makes the channel; an HTTP/1 exchange no
// longer counts as in flight after it, since it may last as long as its
// connection.
func Leaving(ctx context.Context) <-chan struct{} {
	switch found := ctx.Value(contextKey{}).(type) {
	case *Connection:
		if e := found.current.Load(); e != nil {
			e.leaveFlight()
		}
		return found.leaving()
	case *untracked:
		found.leaveFlight()
		return found.leaving()
	}
	return nil
}

func (c *Connection) leaving() <-chan struct{} {
	s := c.sharedRecord()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaver == nil {
		s.leaver = c.ctl.leavers.add(c.lot)
		if c.ctl.rules&hasAge != 0 {
			s.leaver.goAfter(time.Duration(c.ageLimit() - c.age(c.ctl.now())))
		}
	}
	mark, _ := c.marked()
	if bits := c.bits.Load(); mark != 0 || bits&bitLeft != 0 || bits&(bitOpen|bitHijacked) == 0 {
		c.ctl.leavers.remove(s.leaver)
	}
	return s.leaver.channel
}

func (c *Connection) forgetLeaver() {
	if s := c.shared.Load(); s != nil {
		s.mu.Lock()
		l := s.leaver
		s.mu.Unlock()
		if l != nil {
			c.ctl.leavers.remove(l)
		}
	}
}

// leaver is one Leaving channel that is still open.
type leaver struct {
	channel chan struct{}
	lot     shed.Lot
	all     *leavers
	drain   *time.Timer // nil while there is no drain
	age     *time.Timer // nil without OnAge
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

// remove closes the channel and everything that waited to do so.
func (ls *leavers) remove(l *leaver) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if _, ok := ls.open[l]; !ok {
		return
	}
	delete(ls.open, l)
	close(l.channel)
	for _, t := range []*time.Timer{l.drain, l.age} {
		if t != nil {
			t.Stop()
		}
	}
	if len(ls.open) == 0 {
		ls.unwatch()
		ls.unwatch = nil
	}
}

func (l *leaver) goAfter(d time.Duration) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if _, ok := l.all.open[l]; ok {
		l.age = time.AfterFunc(d, func() { l.all.remove(l) })
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
	l.drain = time.AfterFunc(time.Duration(moment-ls.ctl.now()), func() { ls.remove(l) })
}
