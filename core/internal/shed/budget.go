package shed

import (
	"math"
	"sync/atomic"
	"time"
)

// Budget is a token bucket without a lock (the generic cell rate algorithm).
// The only state is the time at which the bucket is full again. With 2 per
// second and a burst of 3, from a full bucket at 0 s:
//
//	Take at 0 s      full at 0.5 s
//	Take at 0 s      full at 1.0 s
//	Take at 0 s      full at 1.5 s
//	Take at 0 s      refused: 1.5 s is further ahead than 1.0 s, two closes
//	Take at 0.5 s    full at 2.0 s
type Budget struct {
	interval  atomic.Int64 // nanoseconds that one close costs
	tolerance int64        // how far ahead of now full may lie: burst-1 closes
	full      atomic.Int64
}

// Init must be called before anything else. perSecond must be above 0; infinity
// lifts the cap. burst must be at least 1.
func (b *Budget) Init(perSecond float64, burst int) {
	b.setRate(perSecond)
	b.tolerance = nanoseconds(float64(burst-1) / perSecond)
	b.full.Store(math.MinInt64 / 4)
}

func (b *Budget) setRate(perSecond float64) { b.interval.Store(nanoseconds(1 / perSecond)) }

func nanoseconds(seconds float64) int64 {
	return int64(math.Min(seconds*float64(time.Second), math.MaxInt64/4))
}

// Take reports whether one more close is allowed at now, which may be before what
// another goroutine read off the clock and took with already.
func (b *Budget) Take(now int64) bool {
	if b.interval.Load() == 0 {
		return true
	}
	for {
		full := b.full.Load()
		base := max(full, now)
		if base-now > b.tolerance {
			return false
		}
		if b.full.CompareAndSwap(full, base+b.interval.Load()) {
			return true
		}
	}
}

// GiveBack returns what Take took, for a close that was not made after all.
func (b *Budget) GiveBack() { b.full.Add(-b.interval.Load()) }
