package core

import (
	"math"
	"sync/atomic"
	"time"
)

// budget is a token bucket without a lock (the generic cell rate algorithm). The
// only state is the time at which the bucket is full again.
type budget struct {
	interval  int64 // nanoseconds that one close costs
	tolerance int64 // how far ahead of now full may lie: burst-1 closes
	full      atomic.Int64
}

func (b *budget) init(perSecond float64, burst int) {
	interval := float64(time.Second) / perSecond
	b.interval = int64(math.Min(interval, math.MaxInt64/4))
	b.tolerance = int64(math.Min(interval*float64(burst-1), math.MaxInt64/4))
	b.full.Store(math.MinInt64 / 4)
}

// take reports whether one more close is allowed at now.
func (b *budget) take(now int64) bool {
	for {
		full := b.full.Load()
		base := max(full, now)
		if base-now > b.tolerance {
			return false
		}
		if b.full.CompareAndSwap(full, base+b.interval) {
			return true
		}
	}
}
