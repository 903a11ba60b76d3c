package core

import (
	"math"
	"sync/atomic"
	"time"
)

// budget is a token bucket without a lock (the generic cell rate algorithm). The
// only state is the time at which the bucket is full again.
type budget struct {
	interval  atomic.Int64 // nanoseconds that one close costs
	tolerance int64        // how far ahead of now full may lie: burst-1 closes
	full      atomic.Int64
}

func (b *budget) init(perSecond float64, burst int) {
	b.setRate(perSecond)
	b.tolerance = nanoseconds(float64(burst-1) / perSecond)
	b.full.Store(math.MinInt64 / 4)
}

func (b *budget) setRate(perSecond float64) { b.interval.Store(nanoseconds(1 / perSecond)) }

func nanoseconds(seconds float64) int64 {
	return int64(math.Min(seconds*float64(time.Second), math.MaxInt64/4))
}

// take reports whether one more close is allowed at now.
func (b *budget) take(now int64) bool {
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

// giveBack returns what take took, for a close that was not made after all.
func (b *budget) giveBack() { b.full.Add(-b.interval.Load()) }
