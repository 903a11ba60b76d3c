package core

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	sampleInterval = int64(100 * time.Millisecond)
	// maxLoadShare leaves a server some connections whatever its signals say:
	// a closed one comes back somewhere, and not all can go elsewhere.
	maxLoadShare = 0.9
	// minLoadAge is how old a connection has to be to be closed for load: a
	// younger one has not yet earned back its handshake.
	minLoadAge = int64(time.Second)
)

// loadRule turns the signals into the share of connections that has to go.
type loadRule struct {
	signals []*signalState
	reading sync.Mutex    // only ever tried
	next    atomic.Int64  // when the signals may be read again
	share   atomic.Uint64 // math.Float64bits
}

type signalState struct {
	Signal
	guard guard
	value atomic.Uint64 // math.Float64bits; NaN while unknown
}

var errSignalPanicked = errors.New("Read panicked")

func (l *loadRule) init(signals []Signal, logger *slog.Logger) error {
	for _, s := range signals {
		state := &signalState{Signal: s}
		state.value.Store(math.Float64bits(math.NaN()))
		if _, err := state.try(Snapshot{}, logger); err != nil && err != errSignalPanicked {
			return fmt.Errorf("OnLoad: the signal %q can not be read here: %w", s.Name, err)
		}
		l.signals = append(l.signals, state)
	}
	return nil
}

// shareAt returns the share of connections to go, reading the signals if the
// last reading is old enough. Whoever finds another one reading does not wait.
func (l *loadRule) shareAt(now int64, c *Controller) float64 {
	if now >= l.next.Load() && l.reading.TryLock() {
		defer l.reading.Unlock()
		l.next.Store(now + sampleInterval)
		snapshot := c.snapshot()
		share := 0.0
		for _, s := range l.signals {
			if v, ok := s.read(snapshot, c.logger); ok {
				share = max(share, (v-s.Soft)/(s.Hard-s.Soft))
			}
		}
		l.share.Store(math.Float64bits(min(share, maxLoadShare)))
	}
	return math.Float64frombits(l.share.Load())
}

func (s *signalState) read(snapshot Snapshot, logger *slog.Logger) (float64, bool) {
	v, err := s.try(snapshot, logger)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		s.value.Store(math.Float64bits(math.NaN()))
		s.guard.said.Do(func() {
			logger.Error("politeclose: a load signal can not be read and asks for nothing; this is said once",
				"signal", s.Name, "value", v, "error", err)
		})
		return 0, false
	}
	s.value.Store(math.Float64bits(v))
	return v, true
}

func (s *signalState) try(snapshot Snapshot, logger *slog.Logger) (v float64, err error) {
	err = errSignalPanicked // what remains if it does
	defer caught(&s.guard, logger, "the load signal "+s.Name, &v)
	return s.Read(snapshot)
}

func (s *signalState) stat() SignalStat {
	v := math.Float64frombits(s.value.Load())
	st := SignalStat{Name: s.Name, Soft: s.Soft, Hard: s.Hard, Known: !math.IsNaN(v)}
	if st.Known {
		st.Value = v
	}
	return st
}
