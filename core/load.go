package core

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	sampleInterval = int64(100 * time.Millisecond)
	// loadSmoothing is the time constant of the share: a signal that jumps to its
	// hard threshold asks for 63 % of the connections after this long, and a spike
	// of one sample for 10 %.
	loadSmoothing = int64(time.Second)
	// loadHysteresis is how far the signals may fall without the share following.
	loadHysteresis = 0.1
	// maxLoadShare leaves a server some connections whatever its signals say:
	// a closed one comes back somewhere, and not all can go elsewhere.
	maxLoadShare = 0.9
	// minLoadAge is how old a connection has to be to be closed for load: by then
	// a TLS handshake of a millisecond is 0.1 % of its time. From 0 to 2 s the age
	// makes no difference to the clients' latencies, since a round keeps those that
	// were moved from being moved again; a longer one puts relief off by as much.
	minLoadAge = int64(time.Second)
	// loadCalm is how long the load has to be gone for its event to be over.
	loadCalm = int64(10 * time.Second)
	// maxPressure keeps a reading from drowning all those after it.
	maxPressure = 1000
)

// loadRule turns the signals into the share of the connections that has to go.
// Whichever exchange comes first reads them; it runs no goroutine.
type loadRule struct {
	next    atomic.Int64  // when the signals may be read again
	share   atomic.Uint64 // math.Float64bits
	epoch   atomic.Uint32 // counts the events that are over
	signals []*signalState
	restraint

	reading   sync.Mutex // only ever tried; it guards the rest
	sampled   int64
	level     float64 // the highest signal's place between soft and hard, smoothed
	held      float64 // level with hysteresis
	shed      bool    // a share had to go since the epoch began
	calmSince int64   // 0 = there is load
}

func (l *loadRule) init(cfg *config) error {
	for _, s := range cfg.signals {
		state := &signalState{Signal: s}
		if err := state.first(cfg.logger); err != nil {
			return fmt.Errorf("OnLoad: the signal %q: %w", s.Name, err)
		}
		l.signals = append(l.signals, state)
	}
	l.next.Store(sampleInterval)
	l.restraint.init(cfg.perSecond)
	return nil
}

// shareAt returns the share of connections to go, reading the signals if the
// last reading is old enough. Whoever finds another one reading does not wait.
func (l *loadRule) shareAt(now int64, c *Controller) float64 {
	if next := l.next.Load(); now >= next {
		if l.reading.TryLock() {
			if now >= l.next.Load() { // nobody has read them since
				l.next.Store(now + sampleInterval)
				l.sample(now, c)
			}
			l.reading.Unlock()
		} else if now-next > loadSmoothing {
			return 0 // a Read that does not return must not go on closing
		}
	}
	return math.Float64frombits(l.share.Load())
}

// sample reads the signals and sets the share.
//
// It rises slowly, so that a spike closes few, but ends at once: while no signal
// is above its soft threshold nobody has to go. A share that falls and comes
// back closes nobody twice, since each connection has its own place in it.
func (l *loadRule) sample(now int64, c *Controller) {
	snapshot := c.snapshot()
	pressure := 0.0
	for _, s := range l.signals {
		if v, ok := s.read(snapshot, c.logger); ok {
			pressure = max(pressure, (v-s.Soft)/(s.Hard-s.Soft))
		}
	}
	pressure = min(pressure, maxPressure)
	l.followCalm(now, pressure)

	// One sample after a long silence is not a long time of load.
	passed := min(now-l.sampled, loadSmoothing)
	l.sampled = now
	weight := 1 - math.Exp(-float64(passed)/float64(loadSmoothing))
	l.level += weight * (min(pressure, 1) - l.level)
	l.held = min(max(l.held, l.level), l.level+loadHysteresis)
	l.restraint.follow(now, pressure, snapshot.Connections)

	share := 0.0
	if pressure > 0 {
		share = min(l.held, maxLoadShare)
		l.shed = true
	}
	l.share.Store(math.Float64bits(share))
}

// followCalm begins a new epoch when the load has been gone for long enough.
func (l *loadRule) followCalm(now int64, pressure float64) {
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

// lotOf returns the connection's place in the share. Each epoch has its own, so
// that who survived one event is not spared in the next; it is a new draw and not
// a shift, which would leave the survivors side by side, to go or stay together.
func (l *loadRule) lotOf(own lot) lot {
	if epoch := l.epoch.Load(); epoch > 0 {
		return own.other(epoch + 2) // 1 and 2 are the limits' of age and requests
	}
	return own
}
