package leaving

import (
	"sync"
	"time"

	"github.com/politeclose/politeclose/core/internal/drainflag"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// Channels are the open ones. They are few, so one lock is enough; no exchange
// takes it that has no stream. While there are any they watch the drain flag.
type Channels struct {
	drain    *drainflag.Flag
	moments  shed.Schedule
	clock    func() int64
	forDrain uint32

	mu      sync.Mutex
	open    map[*Channel]struct{}
	unwatch func() // nil while no channel is open
}

// Init must be called before anything else. forDrain is the reason of a drain,
// whose closes have these moments; clock is the flag's.
func (ls *Channels) Init(drain *drainflag.Flag, moments shed.Schedule, clock func() int64, forDrain uint32) {
	ls.drain, ls.moments, ls.clock, ls.forDrain = drain, moments, clock, forDrain
}

// Add opens a channel for a stream of a connection with this lot.
func (ls *Channels) Add(lot shed.Lot) *Channel {
	l := &Channel{C: make(chan struct{}), lot: lot, all: ls}
	ls.drain.Refresh()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.open == nil {
		ls.open = make(map[*Channel]struct{})
	}
	ls.open[l] = struct{}{}
	if ls.unwatch == nil {
		ls.unwatch = ls.drain.Watch(ls.update)
	}
	ls.schedule(l)
	return l
}

// Open returns how many channels are open.
func (ls *Channels) Open() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.open)
}

func (ls *Channels) remove(l *Channel, reason uint32) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if _, ok := ls.open[l]; !ok {
		return
	}
	delete(ls.open, l)
	l.reason = reason
	close(l.C)
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
func (ls *Channels) update() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for l := range ls.open {
		ls.schedule(l)
	}
}

// schedule sets l's own moment in the drain, or takes it back.
func (ls *Channels) schedule(l *Channel) {
	if l.drain != nil {
		l.drain.Stop()
		l.drain = nil
	}
	since := ls.drain.Since()
	if since == 0 {
		return
	}
	moment := ls.moments.Moment(since, l.lot)
	l.drain = time.AfterFunc(time.Duration(moment-ls.clock()), func() { ls.remove(l, ls.forDrain) })
}
