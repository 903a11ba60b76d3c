package core

import (
	"sync"
	"time"
)

// Phase says how far a drain is.
type Phase string

// The phases of a drain, in their order. They are the values of a metric's label,
// too.
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
