package core

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Drain raises the drain flag: responses announce that their connection ends
// and the channels of [Leaving] close, at once or as [DrainDelay] and
// [DrainSpread] say. [Controller.Draining] is true and the channel of
// [Controller.DrainStarted] closed at once. It closes no connection by itself;
// stdlib.Serve is the whole sequence. Calling it again changes nothing.
func (c *Controller) Drain() { c.drain.Raise() }

// DrainAndClose is for servers: it is [Controller.Drain] for one that closes its
// listener at once and cannot empty it first. It calls closeListener when the flag is
// up, and returns when that has. Until then, and for 250 ms at most, responses that
// announce for the drain wait with it: a client that is told connects again, and
// would be reset in the queue of a socket that is closed a moment later.
func (c *Controller) DrainAndClose(closeListener func()) {
	closed := make(chan struct{})
	c.progress.closing.Store(&closed)
	c.drain.Raise()
	closeListener()
	c.progress.closing.CompareAndSwap(&closed, nil)
	close(closed)
}

// closePatience is for a Close that hangs. On a busy machine the goroutine that closes
// may be off the CPU for tens of milliseconds.
const closePatience = 250 * time.Millisecond

// awaitClose waits for the closeListener of a DrainAndClose. One that hangs holds up
// the responses of its first closePatience, and no later ones.
func (p *drainProgress) awaitClose() {
	closed := p.closing.Load()
	if closed == nil {
		return
	}
	enough := time.NewTimer(closePatience)
	defer enough.Stop()
	select {
	case <-*closed:
	case <-enough.C:
		p.closing.CompareAndSwap(closed, nil)
	}
}

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

// DrainStarted returns a channel that is closed when the next drain begins; it
// is closed already while the Controller is draining. After a
// [Controller.Resume] a later call returns a new one. With [DrainWhen] a timer
// reads the flag once a second from the first call until a drain begins.
func (c *Controller) DrainStarted() <-chan struct{} { return c.drain.Started() }

// DrainSpread returns what the option of that name set, for servers that check
// whether it fits.
func (c *Controller) DrainSpread() time.Duration { return c.schedule.Spread }

// DrainDelay returns what the option of that name set, for servers that check
// whether it fits.
func (c *Controller) DrainDelay() time.Duration { return c.schedule.Delay }

// ListenerClosed is for servers: it says that a listener was closed for good,
// so that Resume refuses from now on.
func (c *Controller) ListenerClosed() {
	c.drain.Keep()
	c.observeDrain(EventListenerClosed)
}

// Drained is for servers: it says that a drain has come to its end. Once it
// logs a warning that names the patterns of [OnRoutes] and [Exempt] that have
// not matched a single exchange so far, for a rule that never fires is most
// likely not in the router's syntax. Observers are told of the end, and of all
// that was before it; that is waited for, a second at most.
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

// Phase says how far a drain is.
type Phase string

// The phases of a drain, in their order. They are the values of a metric's
// label, too.
const (
	PhaseNone       Phase = ""           // there is no drain
	PhaseAnnouncing Phase = "announcing" // the flag is up and the listeners are open
	PhaseWaiting    Phase = "waiting"    // a listener is closed, and a server waits for its connections
	PhaseDrained    Phase = "drained"    // no server waits any more
)

// DrainStat is a drain in [Stats].
type DrainStat struct {
	Phase Phase     `json:"phase"`
	Since time.Time `json:"since,omitzero"` // when the flag went up; zero without a drain
	Until time.Time `json:"until,omitzero"` // when the last server cuts what is left; zero where none has said so
}

// drainProgress is how far the drains of the servers are.
type drainProgress struct {
	closing atomic.Pointer[chan struct{}] // of a DrainAndClose; nil where none is under way

	mu      sync.Mutex
	waiting int // servers that have begun to drain and have not ended
	until   time.Time
}

// DrainBegins is for servers: it says that a server has begun to drain and cuts
// what is left at until. Each call has to be followed by one of Drained.
func (c *Controller) DrainBegins(until time.Time) {
	p := &c.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting++
	if until.After(p.until) {
		p.until = until
	}
}

func (p *drainProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
}

// drainStat may be asked while the flag changes; it takes one reading of it.
func (c *Controller) drainStat() DrainStat {
	since := c.drainSince()
	if since == 0 {
		return DrainStat{}
	}
	p := &c.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	s := DrainStat{Phase: PhaseAnnouncing, Since: c.start.Add(time.Duration(since)), Until: p.until}
	switch {
	case !c.drain.Kept():
	case p.waiting > 0:
		s.Phase = PhaseWaiting
	default:
		s.Phase = PhaseDrained
	}
	return s
}
