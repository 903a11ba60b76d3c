package core

import (
	"errors"
	"fmt"
	"math"
)

// ErrSignalUnavailable is wrapped by the error of [New] where a [Signal] can not
// be read on this platform or in this process.
var ErrSignalUnavailable = errors.New("signal unavailable")

// Signal is one measure of load. While its value is between Soft and Hard a
// share of the connections has to go: none at Soft, the largest share at Hard
// and above. Package load has the usual ones.
type Signal struct {
	// Name identifies the signal in [Stats.Signals]. It must not be empty.
	Name string
	// Soft and Hard are in the signal's own unit. Soft must be less than Hard.
	Soft, Hard float64
	// Read returns the value now. It is called at most every 100 ms, never by
	// two goroutines at once, by whichever exchange comes first, so it should
	// answer within microseconds. New calls it once and fails where it returns
	// an error. Later an error, a panic, NaN or an infinity means that the
	// value is unknown: the signal asks for nothing, which is logged once.
	Read func(Snapshot) (float64, error)
}

// Snapshot is what a Controller knows about itself when it reads a [Signal].
type Snapshot struct {
	InFlight    int // exchanges that have begun and not ended, without hijacked and streaming ones
	Connections int // open connections
}

// SignalStat is a [Signal] in [Stats].
type SignalStat struct {
	Name       string
	Soft, Hard float64
	Value      float64 // the last one read; 0 where it is unknown
	Known      bool
}

func (s Signal) check() error {
	switch {
	case s.Name == "":
		return errors.New("a signal has no name")
	case s.Read == nil:
		return fmt.Errorf("the signal %q has no Read function", s.Name)
	case math.IsNaN(s.Soft) || math.IsNaN(s.Hard) || math.IsInf(s.Soft, 0) || math.IsInf(s.Hard, 0):
		return fmt.Errorf("the signal %q has the thresholds soft %v and hard %v; both must be finite", s.Name, s.Soft, s.Hard)
	case s.Soft < 0 || s.Soft >= s.Hard:
		return fmt.Errorf("the signal %q has the thresholds soft %v and hard %v; soft must be at least 0 and less than hard", s.Name, s.Soft, s.Hard)
	}
	return nil
}
