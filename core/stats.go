package core

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/recent"
)

// Stats is a snapshot of a [Controller]. The counts since New only grow; the
// numbers of connections are those of now, and only of servers that report
// their connections. It is made for JSON as well.
type Stats struct {
	Exchanges       uint64 `json:"exchanges"`        // begun since New
	InFlight        int    `json:"in_flight"`        // begun and not ended, without hijacked and streaming ones
	ClientInitiated uint64 `json:"client_initiated"` // connections that the client closed by its own word

	Open     int `json:"open"`     // connections, without hijacked ones
	Idle     int `json:"idle"`     // of Open, those without a request under way
	Active   int `json:"active"`   // of Open, those with one
	Hijacked int `json:"hijacked"` // connections that a handler took over and has not closed

	// Opened counts connections by protocol, the values of [Event.Protocol]:
	// with their first request, or as "unknown" at their end where none came.
	// Ended counts them once their sockets are closed.
	Opened map[string]uint64 `json:"opened"`
	Ended  map[How]uint64    `json:"ended"`

	Untracked uint64 `json:"untracked"` // exchanges without a connection record

	// Closes counts announced closes, also where the response could not leave
	// any more; every known reason has an entry. Announcements are the same by
	// reason and protocol, without those that are 0.
	Closes        map[Reason]uint64            `json:"closes"`
	Announcements map[Reason]map[string]uint64 `json:"announcements"`

	HeldBack            uint64 `json:"held_back"`              // closes that the Budget, or OnLoad's restraint, refused
	HeldBackByRestraint uint64 `json:"held_back_by_restraint"` // of HeldBack, those for load that were refused before the Budget was asked

	// Impaired counts how often a state was met in which a rule cannot work, by
	// its cause.
	Impaired map[string]uint64 `json:"impaired"`

	InputAfterAnnounce uint64 `json:"input_after_announce"` // connections on which something still came after the announcement

	Draining bool      `json:"draining"`
	Drain    DrainStat `json:"drain"`

	Patterns []PatternStat `json:"patterns,omitempty"` // those of OnRoutes, then those of Exempt, each in its order

	Signals   []SignalStat `json:"signals,omitempty"` // those of OnLoad, in its order
	LoadShare float64      `json:"load_share"`        // the share of the connections that has to go for load, 0 to 0.9
	LoadRate  float64      `json:"load_rate"`         // closes per second allowed for load: the Budget's, 1000 at most, or less where they did not help

	FairShare int `json:"fair_share"` // the last answer to OnExcess; 0 where it is not known

	EventsDropped uint64 `json:"events_dropped"` // those of Observe
}

// PatternStat is a pattern in [Stats].
type PatternStat struct {
	Option  string `json:"option"` // "OnRoutes" or "Exempt"
	Pattern string `json:"pattern"`
	// Matches is how often the pattern matched the path or the route of an
	// exchange about which its rule was asked. A pattern that has not matched
	// after a while is most likely not in the router's syntax: "/users/:id"
	// with net/http.
	Matches uint64 `json:"matches"`
}

// Stats returns a snapshot. It allocates and is meant for a scrape, not for
// every request; the counts are read one after another while requests go on. It
// reads the signals and the [DrainWhen] flags if their last reading is old.
func (c *Controller) Stats() Stats {
	s := Stats{
		ClientInitiated:    c.clientInitiated.Load(),
		Opened:             make(map[string]uint64, len(protocolNames)),
		Ended:              make(map[How]uint64, len(allHow)),
		Untracked:          c.untracked.Load(),
		Closes:             make(map[Reason]uint64, len(c.reasons)),
		Announcements:      make(map[Reason]map[string]uint64),
		HeldBack:           c.heldBack.Load(),
		InputAfterAnnounce: c.inputAfterAnnounce.Load(),
		Draining:           c.Draining(),
		Drain:              c.drainStat(),
		EventsDropped:      c.observers.Dropped(),
		Impaired:           c.impaired.snapshot(),
	}
	for p, name := range protocolNames {
		s.Opened[name] = c.opened[p].Load()
	}
	for i, how := range allHow {
		s.Ended[how] = c.ended[i].Load()
	}
	for i, r := range c.reasons {
		c.closes.counts[i].read(&s, r)
	}
	sum := c.counters.Sum()
	s.Exchanges, s.InFlight = sum.Begun, sum.InFlight()
	s.Open, s.Active, s.Hijacked = int(sum.Open), int(sum.Active), int(sum.Hijacked)
	s.Idle = max(s.Open-s.Active, 0)
	s.Patterns = c.patternStats()
	s.HeldBackByRestraint = c.load.Refused()
	if len(c.load.signals) > 0 {
		now := c.now()
		c.load.refresh(now)
		s.LoadShare, s.LoadRate = c.load.Share(now), c.load.Rate()
	}
	s.FairShare = int(c.excess.share.Load())
	for _, signal := range c.load.signals {
		s.Signals = append(s.Signals, signal.stat())
	}
	return s
}

// closes counts announced closes by reason and protocol.
type closes struct {
	counts []closeCounts // by reasonIndex-1
	recent *recent.Recent
}

type closeCounts [len(protocolNames)]atomic.Uint64

func (n *closeCounts) sum() (sum uint64) {
	for p := range n {
		sum += n[p].Load()
	}
	return sum
}

// read puts the counts of a reason into s.
func (n *closeCounts) read(s *Stats, reason Reason) {
	s.Closes[reason] = 0
	for p, name := range protocolNames {
		if count := n[p].Load(); count > 0 {
			if s.Announcements[reason] == nil {
				s.Announcements[reason] = make(map[string]uint64)
			}
			s.Announcements[reason][name] = count
			s.Closes[reason] += count
		}
	}
}

const (
	recentInterval  = 10 * time.Second
	recentIntervals = 30
)

func (c *closes) init(reasons int) {
	c.counts = make([]closeCounts, reasons)
	c.recent = recent.New(recentIntervals, int64(recentInterval), func() []uint64 {
		sums := make([]uint64, len(c.counts))
		for i := range c.counts {
			sums[i] = c.counts[i].sum()
		}
		return sums
	})
}

func (c *closes) count(reason reasonIndex, p protocol, now int64) {
	c.recent.Note(now)
	c.counts[reason-1][p].Add(1)
}

// countClose counts the announcement of the connection's end and tells of it,
// once. It sets bits at the same moment, so that who cuts the connection finds
// it both announced and counted, or neither, and returns those that were set
// before.
func (c *Connection) countClose(bits uint32) (before uint32) {
	observed := c.ctl.observers.Heard()
	if observed {
		s := c.sharedRecord()
		s.mu.Lock() // before bitCounted is set: Gone, which sees it, waits here
		defer s.mu.Unlock()
	}
	if before = c.set(bits | bitCounted); before&bitCounted != 0 {
		return before
	}
	now := c.ctl.now()
	mark, _ := c.marked()
	c.ctl.closes.count(mark, c.protocol(), now)
	if observed {
		c.sharedRecord().announced.Store(now)
		c.observe(EventAnnounced, bitAnnounced, nil)
	}
	return before
}

// countUntrackedClose is for a connection without a record.
func (c *Controller) countUntrackedClose(reason reasonIndex, p protocol) {
	c.closes.count(reason, p, c.now())
	c.observeUntracked(reason, p)
}

// Interval is a part of the last five minutes, in [Controller.RecentCloses].
type Interval struct {
	Start    time.Time         `json:"start"`
	Duration time.Duration     `json:"-"`      // 10 s
	Closes   map[Reason]uint64 `json:"closes"` // as in Stats.Closes; nil where there were none
}

// RecentCloses returns the announced closes of each 10 s of the last five
// minutes, the oldest first and the one that has just begun last. It allocates,
// and is meant for a page that people look at.
func (c *Controller) RecentCloses() []Interval {
	all := make([]Interval, 0, recentIntervals)
	for _, growth := range c.closes.recent.Intervals(c.now()) {
		interval := Interval{Start: c.start.Add(time.Duration(growth.Start)), Duration: recentInterval}
		for i, n := range growth.Counters {
			if n > 0 {
				if interval.Closes == nil {
					interval.Closes = make(map[Reason]uint64)
				}
				interval.Closes[c.reasons[i]] = n
			}
		}
		all = append(all, interval)
	}
	return all
}

// Impair is for servers: it counts in [Stats.Impaired] that a rule cannot work,
// and logs a warning with the cause the first time. The cause is a constant, so
// that the counters are few. It is safe for concurrent use.
func (c *Controller) Impair(cause string) {
	if c.impaired.count(cause) == 1 {
		c.logger.Warn("politeclose: " + cause + ". This is said once; Stats counts it")
	}
}

// impairments counts the states in which a rule cannot work, by their cause.
type impairments struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (i *impairments) count(cause string) uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.counts == nil {
		i.counts = make(map[string]uint64)
	}
	i.counts[cause]++
	return i.counts[cause]
}

func (i *impairments) snapshot() map[string]uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	counts := make(map[string]uint64, len(i.counts))
	maps.Copy(counts, i.counts)
	return counts
}
