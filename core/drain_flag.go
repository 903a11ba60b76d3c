package core

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// drainFlag says whether there is a drain, and since when: by Drain, or because a
// DrainWhen flag is up.
type drainFlag struct {
	own      atomic.Int64 // since when by Drain, shifted by one; the lowest bit is drainForGood
	outside  atomic.Int64 // since when by a DrainWhen flag; 0 = not
	changing sync.Mutex   // outside
	flags    []*outsideFlag
	watchers drainWatchers
	clock    func() int64
}

// drainForGood says that there is no way back: a listener was closed. It is one
// value with the time, so that no lowering can come in between.
const drainForGood = 1

const flagInterval = time.Second

func (d *drainFlag) init(asks []func() bool, clock func() int64, logger *slog.Logger) {
	d.clock = clock
	for _, ask := range asks {
		d.flags = append(d.flags, newOutsideFlag(ask, d.outsideChanged, logger))
	}
	if len(asks) > 0 {
		d.watchers.read = d.refresh
	}
}

// since returns when the drain began, 0 if there is none. It does not read the
// flags.
func (d *drainFlag) since() int64 {
	own, outside := d.own.Load()>>1, d.outside.Load()
	if own == 0 || outside != 0 && outside < own {
		return outside
	}
	return own
}

func (d *drainFlag) raise() {
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

// lower takes raise back, and reports false where that cannot be done any more.
func (d *drainFlag) lower() bool {
	for {
		old := d.own.Load()
		if old&drainForGood != 0 {
			return false
		}
		if d.own.CompareAndSwap(old, 0) {
			break
		}
	}
	d.watchers.tell(false)
	return true
}

// keep makes lower fail from now on.
func (d *drainFlag) keep() { d.own.Or(drainForGood) }

// forGood reports whether lower fails.
func (d *drainFlag) forGood() bool { return d.own.Load()&drainForGood != 0 }

// refresh reads the DrainWhen flags if their last reading is old enough.
func (d *drainFlag) refresh() {
	if len(d.flags) > 0 {
		d.refreshAt(d.clock())
	}
}

func (d *drainFlag) refreshAt(now int64) {
	for _, f := range d.flags {
		f.refresh(now)
	}
}

// outsideChanged follows a flag that has gone up or down at now.
func (d *drainFlag) outsideChanged(now int64) {
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

// watch calls changed after each change of the flag, under no lock, until stop is
// called; a last call may come after that. What it finds is the latest state, not
// each one in between.
func (d *drainFlag) watch(changed func()) (stop func()) { return d.watchers.add(changed) }

// started returns a channel that is closed by the next drain, or now.
func (d *drainFlag) started() <-chan struct{} {
	d.refresh()
	return d.watchers.next(func() bool { return d.since() != 0 })
}

// outsideFlag is a function that DrainWhen was given, and what it said last. Each
// one is read for itself, so that one that hangs does not hide the others.
type outsideFlag struct {
	up atomic.Bool
	poll
	ask    func() bool
	guard  guard
	logger *slog.Logger
	tell   func(now int64)
}

func newOutsideFlag(ask func() bool, tell func(now int64), logger *slog.Logger) *outsideFlag {
	f := &outsideFlag{ask: ask, tell: tell, logger: logger}
	f.poll.init(int64(flagInterval), f.read, func() {
		logger.Error("politeclose: a DrainWhen function does not answer; what it said last counts until it does. This is said once")
	})
	return f
}

func (f *outsideFlag) read(now int64) {
	if up := f.answer(); f.up.Swap(up) != up {
		f.tell(now)
	}
}

func (f *outsideFlag) answer() (up bool) {
	defer caught(&f.guard, f.logger, "a DrainWhen function", &up)
	return f.ask()
}

// drainWatchers are those who wait for a change of the drain flag. While there
// are any, a timer reads the DrainWhen flags, for there may be no exchange that
// does.
type drainWatchers struct {
	read   func() // reads the flags; nil where there are none
	always func() // told of each change, too, but no reason to read the flags

	mu      sync.Mutex
	changed map[int]func() // by number
	added   int
	started chan struct{} // closed when a drain begins; nil where nobody has it
	timer   *time.Timer
}

func (w *drainWatchers) add(changed func()) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed == nil {
		w.changed = make(map[int]func())
	}
	w.added++
	number := w.added
	w.changed[number] = changed
	w.setTimer()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.changed, number)
		w.setTimer()
	}
}

// next returns the channel of the next drain. It is closed already where draining
// is true, which is asked when tell can no longer miss the channel.
func (w *drainWatchers) next(draining func() bool) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started == nil {
		w.started = make(chan struct{})
	}
	started := w.started
	if draining() {
		close(started)
		w.started = nil
	}
	w.setTimer()
	return started
}

// tell says that the flag has changed, and whether it is up.
func (w *drainWatchers) tell(up bool) {
	w.mu.Lock()
	changed := slices.Collect(maps.Values(w.changed))
	if up && w.started != nil {
		close(w.started)
		w.started = nil
		w.setTimer()
	}
	w.mu.Unlock()
	w.always()
	for _, f := range changed {
		f()
	}
}

// setTimer starts or stops it.
func (w *drainWatchers) setTimer() {
	watched := len(w.changed) > 0 || w.started != nil
	switch {
	case watched && w.read != nil && w.timer == nil:
		w.timer = time.AfterFunc(flagInterval, w.tick)
	case !watched && w.timer != nil:
		w.timer.Stop()
		w.timer = nil
	}
}

func (w *drainWatchers) tick() {
	w.read()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Reset(flagInterval)
	}
}
