package core

import (
	"fmt"
	"time"
)

// Drain raises the drain flag: from now on responses announce that their
// connection ends, at once or over the DrainSpread, [Controller.Draining] is
// true, and the channels of [Leaving] and [Controller.DrainStarted] close. It
// closes no connection by itself; stdlib.Serve is the whole sequence. Calling it
// again changes nothing.
func (c *Controller) Drain() { c.drain.Raise() }

// Resume lowers the flag that [Controller.Drain] raised; a [DrainWhen] flag
// stands. It returns false, and changes nothing, once a Serve has closed its
// listener: there is no way back from there. Connections that were announced
// already end all the same.
func (c *Controller) Resume() bool { return c.drain.Lower() }

// Draining reports whether [Controller.Drain] was called or a [DrainWhen] flag
// is true.
func (c *Controller) Draining() bool {
	c.drain.Refresh()
	return c.drain.Since() != 0
}

// DrainStarted returns a channel that is closed when the next drain begins; it is
// closed already while the Controller is draining. After a [Controller.Resume] a
// later call returns a new one. With [DrainWhen] a timer reads the flag once a
// second from the first call until a drain begins.
func (c *Controller) DrainStarted() <-chan struct{} { return c.drain.Started() }

// DrainSpread returns what the option of that name set, for servers that check
// whether it fits.
func (c *Controller) DrainSpread() time.Duration { return c.spread }

// ListenerClosed is for servers: it says that a listener was closed for good, so
// that Resume refuses from now on.
func (c *Controller) ListenerClosed() {
	c.drain.Keep()
	c.observeDrain(EventListenerClosed)
}

// Drained is for servers: it says that a drain has come to its end. Once it logs
// a warning that names the patterns of [OnRoutes] and [Exempt] that have not
// matched a single exchange so far, for a rule that never fires is most likely
// not in the router's syntax. Observers are told of the end, and of all that was
// before it; that is waited for, a second at most.
func (c *Controller) Drained() {
	c.progress.end()
	c.observeDrain(EventDrained)
	c.warnOfUnused()
	c.observers.Flush(lastEvents)
}

func (c *Controller) warnOfUnused() {
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
func (c *Controller) drainSince() int64 { return c.drain.Since() }

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
