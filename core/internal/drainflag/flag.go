// Package drainflag is the flag that says whether there is a drain, and tells
// those who wait for it.
package drainflag

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Flag says whether there is a drain, and since when: because it was raised, or
// because an outside flag is up, a function that DrainWhen was given. All
// methods are safe for concurrent use.
//
// Its own part is a single value, so that nobody can lower the flag between a
// Keep and the Raise that follows it. With times in binary, . for the bit that
// is never set by time:
//
//	                own
//	New             0
//	Raise at 5 ns   101.0
//	Lower           0
//	Keep            0.1
//	Lower           0.1    refused
//	Raise at 6 ns   110.1
type Flag struct {
	own      atomic.Int64 // since when it was raised, shifted by one; the lowest bit is forGood
	outside  atomic.Int64 // since when an outside flag is up; 0 = none is
	changing sync.Mutex   // outside
	flags    []*outsideFlag
	watchers watchers
	clock    func() int64
}

// forGood says that there is no way back.
const forGood = 1

// interval is how often the outside flags are read.
const interval = time.Second

// Init must be called before anything else. clock returns nanoseconds, above 0.
func (d *Flag) Init(asks []func() bool, clock func() int64, logger *slog.Logger) {
	d.clock = clock
	for _, ask := range asks {
		d.flags = append(d.flags, newOutsideFlag(ask, d.outsideChanged, logger))
	}
	if len(asks) > 0 {
		d.watchers.read = d.Refresh
	}
}

// Since returns when the drain began, 0 if there is none. It does not read the
// flags.
func (d *Flag) Since() int64 {
	own, outside := d.own.Load()>>1, d.outside.Load()
	if own == 0 || outside != 0 && outside < own {
		return outside
	}
	return own
}

// Raise begins a drain, where there is none by Raise already.
func (d *Flag) Raise() {
	now := d.clock()
	for {
		old := d.own.Load()
		if old>>1 != 0 {
			return
		}
		if d.own.CompareAndSwap(old, old|now<<1) {
			break
		}
	}
	d.watchers.tell(true)
}

// Lower takes Raise back, and reports false where that cannot be done any more.
func (d *Flag) Lower() bool {
	for {
		old := d.own.Load()
		if old&forGood != 0 {
			return false
		}
		if d.own.CompareAndSwap(old, 0) {
			break
		}
	}
	d.watchers.tell(false)
	return true
}

// Keep makes Lower fail from now on.
func (d *Flag) Keep() { d.own.Or(forGood) }

// Kept reports whether Lower fails.
func (d *Flag) Kept() bool { return d.own.Load()&forGood != 0 }

// Refresh reads the outside flags if their last reading is old enough.
func (d *Flag) Refresh() {
	if len(d.flags) > 0 {
		d.RefreshAt(d.clock())
	}
}

// RefreshAt is Refresh for who knows the time.
func (d *Flag) RefreshAt(now int64) {
	for _, f := range d.flags {
		f.poll.Refresh(now)
	}
}

// outsideChanged follows a flag that has gone up or down at now.
func (d *Flag) outsideChanged(now int64) {
	d.changing.Lock()
	up := slices.ContainsFunc(d.flags, func(f *outsideFlag) bool { return f.up.Load() })
	if !up {
		d.outside.Store(0)
	} else {
		d.outside.CompareAndSwap(0, now)
	}
	d.changing.Unlock()
	d.watchers.tell(up)
}

// Watch calls changed after each change of the flag, under no lock, until stop
// is called; a last call may come after that. What it finds is the latest
// state, not each one in between.
func (d *Flag) Watch(changed func()) (stop func()) { return d.watchers.add(changed) }

// Always is Watch without an end, to be called before the flag is in use. It is
// no reason to read the outside flags by a timer.
func (d *Flag) Always(changed func()) { d.watchers.always = changed }

// Started returns a channel that is closed by the next drain, or now.
func (d *Flag) Started() <-chan struct{} {
	d.Refresh()
	return d.watchers.next(func() bool { return d.Since() != 0 })
}
