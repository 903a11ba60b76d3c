package shed

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// sampleInterval is how long a sample of the pressure stands.
	sampleInterval = int64(100 * time.Millisecond)
	// loadSmoothing is the time constant of the share: a signal that jumps to
	// its hard threshold asks for 63 % of the connections after this long, and
	// a spike of one sample for 10 %.
	loadSmoothing = int64(time.Second)
	// loadHysteresis is how far the signals may fall without the share
	// following.
	loadHysteresis = 0.1
	// maxLoadShare leaves a server some connections whatever its signals say:
	// a closed one comes back somewhere, and not all can go elsewhere.
	maxLoadShare = 0.9
	// minLoadAge is how old a connection has to be to be closed for load: by
	// then a TLS handshake of a millisecond is 0.1 % of its time. From 0 to 2 s
	// the age makes no difference to the clients' latencies, since a round
	// keeps those that were moved from being moved again; a longer one puts
	// relief off by as much.
	minLoadAge = int64(time.Second)
	// loadCalm is how long the load has to be gone for its event to be over.
	loadCalm = int64(10 * time.Second)
	// maxPressure keeps a reading from drowning all those after it.
	maxPressure = 1000
)

// Load turns samples of the load into the share of the connections that has to
// go, and keeps the closes from doing harm.
type Load struct {
	share     atomic.Uint64 // math.Float64bits
	sampled   atomic.Int64  // when the share was set
	epoch     atomic.Uint32 // counts the events that are over
	restraint restraint

	// What Sample alone uses.
	level     float64 // the pressure, 1 at most, smoothed
	held      float64 // level with hysteresis
	shed      bool    // a share had to go since the epoch began
	calmSince int64   // 0 = there is load
}

// Init must be called before anything else. perSecond is the Budget's.
func (l *Load) Init(perSecond float64) { l.restraint.init(perSecond) }

// Interval is how often Sample should be called, in nanoseconds.
func (l *Load) Interval() int64 { return sampleInterval }

// Share returns the share of connections to go, from 0 to 0.9. Where nobody has
// sampled for a second it is 0: a signal that does not answer must not go on
// closing.
func (l *Load) Share(now int64) float64 {
	if now-l.sampled.Load() > sampleInterval+loadSmoothing {
		return 0
	}
	return math.Float64frombits(l.share.Load())
}

// Rate returns how many closes per second are allowed for load.
func (l *Load) Rate() float64 { return l.restraint.perSecond() }

// Refused returns how many closes for load the restraint has refused, without
// those that the Budget did.
func (l *Load) Refused() uint64 { return l.restraint.refused.Load() }

// LongAgo is when a connection was opened of which that is not known.
const LongAgo = math.MinInt64 / 4

// Goes reports whether a connection with this lot, opened at this time, is in
// the share.
func (l *Load) Goes(own Lot, opened, now int64) bool {
	share := l.Share(now)
	return share > 0 && now-opened >= minLoadAge && l.lotOf(own).Float() < share
}

// lotOf returns the connection's place in the share. Each epoch has its own, so
// that who survived one event is not spared in the next; it is a new draw and
// not a shift, which would leave the survivors side by side, to go or stay
// together.
func (l *Load) lotOf(own Lot) Lot {
	if epoch := l.epoch.Load(); epoch > 0 {
		return own.Other(epoch + 2) // 1 and 2 are the limits' of age and requests
	}
	return own
}

// Take takes a close for load, of a connection that was opened at this time,
// from the restraint and the budget, and reports whether it is allowed.
func (l *Load) Take(now, opened int64, budget *Budget) bool {
	return l.restraint.take(now, opened, budget)
}

// Sample sets the share. pressure is the highest signal's place between its
// soft threshold, 0, and its hard one, 1; it may be outside. connections is how
// many are open. It must not be called twice at once.
//
// The share rises slowly, so that a spike closes few, but ends at once: while
// no signal is above its soft threshold nobody has to go. A share that falls
// and comes back closes nobody twice, since each connection has its own place
// in it.
func (l *Load) Sample(now int64, pressure float64, connections int) {
	pressure = min(max(pressure, 0), maxPressure)
	l.followCalm(now, pressure)

	// One sample after a long silence is not a long time of load.
	passed := min(now-l.sampled.Load(), loadSmoothing)
	weight := 1 - math.Exp(-float64(passed)/float64(loadSmoothing))
	l.level += weight * (min(pressure, 1) - l.level)
	l.held = min(max(l.held, l.level), l.level+loadHysteresis)
	l.restraint.follow(now, pressure, connections)

	share := 0.0
	if pressure > 0 {
		share = min(l.held, maxLoadShare)
		l.shed = true
	}
	l.share.Store(math.Float64bits(share))
	l.sampled.Store(now)
}

// followCalm begins a new epoch when the load has been gone for long enough.
func (l *Load) followCalm(now int64, pressure float64) {
	if l.shed && l.calmSince != 0 && now-l.calmSince >= loadCalm {
		l.shed = false
		l.epoch.Add(1)
		l.restraint.lift()
	}
	switch {
	case pressure > 0:
		l.calmSince = 0
	case l.calmSince == 0:
		l.calmSince = now
	}
}
