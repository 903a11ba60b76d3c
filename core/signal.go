package core

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/politeclose/politeclose/core/internal/callback"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// ErrSignalUnavailable is wrapped by the error of [New] where a [Signal]
// cannot be read on this platform or in this process.
var ErrSignalUnavailable = errors.New("signal unavailable")

// Signal is one measure of load. While its value is between Soft and Hard a
// share of the connections has to go: none at Soft, the largest share at Hard
// and above. Package load has the usual ones.
type Signal struct {
	// Name identifies the signal in [Stats.Signals] and in metrics. It must not
	// be empty, and must be valid UTF-8.
	Name string
	// Soft and Hard are in the signal's own unit. Soft must be less than Hard.
	Soft, Hard float64
	// Read returns the value now. One Controller calls it at most every 100 ms
	// and never twice at once, when an exchange comes, which waits for it for
	// 20 ms at most, so it should answer within microseconds. New calls it once
	// and fails where it returns an error. Later an error, and at any time a
	// panic, NaN or an infinity, means that the value is unknown: the signal
	// asks for nothing, which is logged once. While a Read does not return, no
	// connection is closed for load.
	Read func(Snapshot) (float64, error)
}

// Snapshot is what a Controller knows about itself when it reads a [Signal].
type Snapshot struct {
	InFlight    int // exchanges that have begun and not ended, without hijacked and streaming ones
	Connections int // open connections
}

// SignalStat is a [Signal] in [Stats].
type SignalStat struct {
	Name  string  `json:"name"`
	Soft  float64 `json:"soft"`
	Hard  float64 `json:"hard"`
	Value float64 `json:"value"` // the last one read; 0 where it is unknown
	Known bool    `json:"known"`
}

func (s Signal) check() error {
	switch {
	case s.Name == "":
		return errors.New("a signal has no name")
	case !utf8.ValidString(s.Name):
		return fmt.Errorf("the signal's name %q is %w", s.Name, errNotUTF8)
	case s.Read == nil:
		return fmt.Errorf("the signal %q has no Read function", s.Name)
	case math.IsNaN(s.Soft) || math.IsNaN(s.Hard) || math.IsInf(s.Soft, 0) || math.IsInf(s.Hard, 0):
		return fmt.Errorf("the signal %q has the thresholds soft %v and hard %v; both must be finite", s.Name, s.Soft, s.Hard)
	case s.Soft < 0 || s.Soft >= s.Hard:
		return fmt.Errorf("the signal %q has the thresholds soft %v and hard %v; soft must be at least 0 and less than hard", s.Name, s.Soft, s.Hard)
	}
	return nil
}

// loadRule reads the signals for the arithmetic of package shed.
type loadRule struct {
	shed.Load
	poll     callback.Poll
	signals  []*signalState
	snapshot func() Snapshot
	logger   *slog.Logger
}

func (l *loadRule) init(cfg *config, snapshot func() Snapshot) error {
	l.snapshot, l.logger = snapshot, cfg.logger
	for _, s := range cfg.signals {
		state := &signalState{Signal: s}
		if err := state.first(l.logger); err != nil {
			return fmt.Errorf("OnLoad: the signal %q: %w", s.Name, err)
		}
		l.signals = append(l.signals, state)
	}
	l.Load.Init(cfg.perSecond)
	l.poll.Init(l.Interval(), l.sample, func() {
		l.logger.Error("politeclose: a load signal does not answer; no connection is closed for load until it does. This is said once")
	})
	l.poll.Wait()
	return nil
}

func (l *loadRule) refresh(now int64) { l.poll.Refresh(now) }

func (l *loadRule) sample(now int64) {
	snapshot := l.snapshot()
	pressure := 0.0
	for _, s := range l.signals {
		if v, ok := s.read(snapshot, l.logger); ok {
			pressure = max(pressure, (v-s.Soft)/(s.Hard-s.Soft))
		}
	}
	l.Sample(now, pressure, snapshot.Connections)
}

// signalState is a Signal and what it said last.
type signalState struct {
	Signal
	value atomic.Uint64 // math.Float64bits; NaN while it is unknown
	said  sync.Once
}

var errSignalPanicked = errors.New("its Read function panicked")

// first reads the signal for New. Only an error is a reason to fail: a function
// that panics now may work once the program has come up.
func (s *signalState) first(logger *slog.Logger) error {
	v, err := s.try(Snapshot{})
	if err != nil && !errors.Is(err, errSignalPanicked) {
		return err
	}
	s.note(v, err, logger)
	return nil
}

// read returns the value now, and whether it is known.
func (s *signalState) read(snapshot Snapshot, logger *slog.Logger) (v float64, known bool) {
	v, err := s.try(snapshot)
	return v, s.note(v, err, logger)
}

func (s *signalState) try(snapshot Snapshot) (v float64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errSignalPanicked, p)
		}
	}()
	return s.Read(snapshot)
}

func (s *signalState) note(v float64, err error, logger *slog.Logger) (known bool) {
	if err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
		s.value.Store(math.Float64bits(v))
		return true
	}
	s.value.Store(math.Float64bits(math.NaN()))
	s.said.Do(func() {
		logger.Error("politeclose: a load signal is unknown and asks for nothing while it is; this is said once",
			"signal", s.Name, "value", v, "error", err)
	})
	return false
}

func (s *signalState) stat() SignalStat {
	v := math.Float64frombits(s.value.Load())
	if math.IsNaN(v) {
		return SignalStat{Name: s.Name, Soft: s.Soft, Hard: s.Hard}
	}
	return SignalStat{Name: s.Name, Soft: s.Soft, Hard: s.Hard, Value: v, Known: true}
}
