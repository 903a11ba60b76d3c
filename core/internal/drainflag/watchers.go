package drainflag

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// watchers are those who wait for a change of the drain flag. While there
// are any, a timer reads the outside flags, for there may be no exchange that
// does.
type watchers struct {
	read   func() // reads the flags; nil where there are none
	always func() // told of each change, too, but no reason to read the flags

	mu      sync.Mutex
	changed map[int]func() // by number
	added   int
	started chan struct{} // closed when a drain begins; nil where nobody has it
	timer   *time.Timer
}

func (w *watchers) add(changed func()) (remove func()) {
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

// next returns the channel of the next drain. It is closed already where
// draining is true, which is asked when tell can no longer miss the channel.
func (w *watchers) next(draining func() bool) <-chan struct{} {
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
func (w *watchers) tell(up bool) {
	w.mu.Lock()
	changed := slices.Collect(maps.Values(w.changed))
	if up && w.started != nil {
		close(w.started)
		w.started = nil
		w.setTimer()
	}
	w.mu.Unlock()
	if w.always != nil {
		w.always()
	}
	for _, f := range changed {
		f()
	}
}

// setTimer starts or stops it.
func (w *watchers) setTimer() {
	watched := len(w.changed) > 0 || w.started != nil
	switch {
	case watched && w.read != nil && w.timer == nil:
		w.timer = time.AfterFunc(interval, w.tick)
	case !watched && w.timer != nil:
		w.timer.Stop()
		w.timer = nil
	}
}

func (w *watchers) tick() {
	w.read()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Reset(interval)
	}
}
