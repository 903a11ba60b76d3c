package core

// Stats is a snapshot of a [Controller]. The counts since New only grow; the
// numbers of connections are those of now, and only of servers that report their
// connections.
type Stats struct {
	Exchanges       uint64 // begun since New
	InFlight        int    // begun and not ended, without hijacked and streaming ones
	ClientInitiated uint64 // connections that the client closed by its own word

	Open     int // connections, without hijacked ones
	Idle     int // of Open, those without a request under way
	Active   int // of Open, those with one
	Hijacked int // connections that a handler took over and has not closed

	Untracked uint64            // exchanges without a connection record
	Closes    map[Reason]uint64 // announced closes, also where the response could not leave any more; every known reason has an entry
	HeldBack  uint64            // closes that the Budget, or OnLoad's restraint, refused

	InputAfterAnnounce uint64 // connections on which something still came after the announcement

	Draining bool

	Patterns []PatternStat // those of OnRoutes, then those of Exempt, each in its order

	Signals   []SignalStat // those of OnLoad, in its order
	LoadShare float64      // the share of the connections that has to go for load, 0 to 0.9
	LoadRate  float64      // closes per second allowed for load: the Budget's, 1000 at most, or less where they did not help
}

// PatternStat is a pattern in [Stats].
type PatternStat struct {
	Option  string // "OnRoutes" or "Exempt"
	Pattern string
	// Matches is how often the pattern matched the path or the route of an exchange
	// about which its rule was asked. A pattern that has not matched after a while
	// is most likely not in the router's syntax: "/users/:id" with net/http.
	Matches uint64
}

// Stats returns a snapshot. It allocates and is meant for a scrape, not for every
// request; the counts are read one after another while requests go on. It reads
// the signals and the [DrainWhen] flags if their last reading is old.
func (c *Controller) Stats() Stats {
	s := Stats{
		ClientInitiated:    c.clientInitiated.Load(),
		Untracked:          c.untracked.Load(),
		Closes:             make(map[Reason]uint64, len(c.reasons)),
		HeldBack:           c.heldBack.Load(),
		InputAfterAnnounce: c.inputAfterAnnounce.Load(),
		Draining:           c.Draining(),
	}
	for i, r := range c.reasons {
		s.Closes[r] = c.closes[i].Load()
	}
	sum := c.counters.sum()
	s.Exchanges, s.InFlight = sum.begun, sum.inFlight()
	s.Open, s.Active, s.Hijacked = int(sum.open), int(sum.active), int(sum.hijacked)
	s.Idle = max(s.Open-s.Active, 0)
	s.Patterns = c.patternStats()
	if len(c.load.signals) > 0 {
		now := c.now()
		c.load.refresh(now)
		s.LoadShare, s.LoadRate = c.load.Share(now), c.load.Rate()
	}
	for _, signal := range c.load.signals {
		s.Signals = append(s.Signals, signal.stat())
	}
	return s
}
