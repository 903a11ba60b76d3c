package core

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Drain raises the drain flag: from now on responses announce that their
// connection ends, at once or over the DrainSpread, [Controller.Draining] is
// true and [Leaving] channels close. It closes nothing by itself; stdlib.Serve is
// the whole sequence. Calling it again changes nothing.
func (c *Controller) Drain() {
	if c.drained.CompareAndSwap(0, c.now()) {
		c.leavers.update()
	}
}

// Resume lowers the flag that [Controller.Drain] raised; a [DrainWhen] flag
// stands. It returns false, and changes nothing, once a Serve has closed its
// listener: there is no way back from there. Connections that were announced
// already end all the same.
func (c *Controller) Resume() bool {
	if c.listenerClosed.Load() {
		return false
	}
	c.drained.Store(0)
	c.leavers.update()
	return true
}

// Draining reports whether [Controller.Drain] was called or a [DrainWhen] flag
// is true.
func (c *Controller) Draining() bool {
	c.flag.refresh(c)
	return c.drainSince() != 0
}

// DrainSpread returns what the option of that name set, for servers that check
// whether it fits.
func (c *Controller) DrainSpread() time.Duration { return c.spread }

// ListenerClosed is for servers: it says that a listener was closed for good, so
// that Resume refuses from now on.
func (c *Controller) ListenerClosed() { c.listenerClosed.Store(true) }

// Drained is for servers: it says that a drain has come to its end. Once it logs
// a warning that names the patterns of [OnRoutes] and [Exempt] that have not
// matched a single exchange so far, for a rule that never fires is most likely
// not in the router's syntax.
func (c *Controller) Drained() {
	var unused []string
	for _, s := range c.patternStats() {
		if s.Matches == 0 {
			unused = append(unused, fmt.Sprintf("%s(%q)", s.Option, s.Pattern))
		}
	}
	if len(unused) == 0 {
		return
	}
	c.unusedSaid.Do(func() {
		c.logger.Warn("politeclose: these patterns have matched no request; "+
			"they may be in another router's syntax, or name a route that the program does not have. This is said once",
			"patterns", unused)
	})
}

// drainSince returns when the drain began, 0 if there is none. It does not read
// the flags.
func (c *Controller) drainSince() int64 {
	drained, flagged := c.drained.Load(), c.flag.since.Load()
	if drained == 0 || flagged != 0 && flagged < drained {
		return flagged
	}
	return drained
}

// drainShare returns the share of the connections that has to go by now.
func (c *Controller) drainShare(now int64) float64 {
	since := c.drainSince()
	if since == 0 {
		return 0
	}
	if c.spread == 0 {
		return 1
	}
	return min(max(0, float64(now-since)/float64(c.spread)), 1)
}

// flagReader reads the DrainWhen flags, at most once a second.
type flagReader struct {
	since   atomic.Int64 // since when one of them is true; 0 = none is
	next    atomic.Int64
	asks    []func() bool
	guard   guard
	reading sync.Mutex // only ever tried
}

const flagInterval = time.Second

func (f *flagReader) init(asks []func() bool) { f.asks = asks }

// refresh reads the flags if the last reading is old enough. Whoever finds
// another one reading does not wait.
func (f *flagReader) refresh(c *Controller) {
	if len(f.asks) == 0 {
		return
	}
	f.refreshAt(c, c.now())
}

func (f *flagReader) refreshAt(c *Controller, now int64) {
	if now < f.next.Load() || !f.reading.TryLock() {
		return
	}
	f.next.Store(now + int64(flagInterval))
	up, was := f.read(c.logger), f.since.Load() != 0
	if up && !was {
		f.since.Store(now)
	} else if !up && was {
		f.since.Store(0)
	}
	f.reading.Unlock()
	if up != was {
		c.leavers.update()
	}
}

func (f *flagReader) read(logger *slog.Logger) bool {
	for _, ask := range f.asks {
		if f.readOne(ask, logger) {
			return true
		}
	}
	return false
}

func (f *flagReader) readOne(ask func() bool, logger *slog.Logger) (up bool) {
	defer caught(&f.guard, logger, "a DrainWhen function", &up)
	return ask()
}
