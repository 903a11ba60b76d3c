package load

import (
	"fmt"
	"math"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core"
)

// SchedulerLatency is how long goroutines that could run have to wait for a
// thread: the 99th percentile over the last half second to second or, where
// readings are rarer, since the last one. It shows a CPU overload by what it
// costs. Its name is "scheduler_latency", its unit the second.
func SchedulerLatency(soft, hard time.Duration) core.Signal {
	meter := latencyMeter{histogram: schedulerHistogram(), now: time.Now}
	return core.Signal{
		Name: "scheduler_latency", Soft: soft.Seconds(), Hard: hard.Seconds(),
		Read: func(core.Snapshot) (float64, error) { return meter.read() },
	}
}

// schedulerHistogram returns a function that reads the latencies since the
// program's start, into memory that the next call uses again.
func schedulerHistogram() func() (*metrics.Float64Histogram, error) {
	samples := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	return func() (*metrics.Float64Histogram, error) {
		metrics.Read(samples)
		if samples[0].Value.Kind() != metrics.KindFloat64Histogram {
			return nil, fmt.Errorf("the runtime has no metric %s: %w", samples[0].Name, core.ErrSignalUnavailable)
		}
		return samples[0].Value.Float64Histogram(), nil
	}
}

const (
	latencyPercentile = 0.99
	// latencyWindow is the shortest one; the longest is twice that.
	latencyWindow = 500 * time.Millisecond
)

// latencyMeter takes a percentile of what a histogram, which only grows, has
// gained within a window.
type latencyMeter struct {
	histogram func() (*metrics.Float64Histogram, error)
	now       func() time.Time

	mu     sync.Mutex // a Signal may have been given to two Controllers
	start  []uint64   // the counts at the window's start
	next   []uint64   // the counts at the next window's start
	nextAt time.Time
}

func (m *latencyMeter) read() (seconds float64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.histogram()
	if err != nil {
		return 0, err
	}
	now := m.now()
	if m.start == nil {
		m.start, m.next, m.nextAt = slices.Clone(all.Counts), slices.Clone(all.Counts), now
	}
	if now.Sub(m.nextAt) >= latencyWindow {
		m.start, m.next = m.next, m.start
		copy(m.next, all.Counts)
		m.nextAt = now
	}
	gained := func(i int) uint64 { return all.Counts[i] - m.start[i] }
	return percentile(latencyPercentile, all.Buckets, gained), nil
}

// percentile returns the value that the part p of the counts does not exceed, 0
// where nothing was counted. Within a bucket it interpolates.
func percentile(p float64, bounds []float64, count func(int) uint64) float64 {
	var total uint64
	buckets := len(bounds) - 1
	for i := range buckets {
		total += count(i)
	}
	if total == 0 {
		return 0
	}
	rank := p * float64(total)
	for i := range buckets {
		n := float64(count(i))
		if rank > n {
			rank -= n
			continue
		}
		low, high := bounds[i], bounds[i+1]
		switch {
		case math.IsInf(high, 1):
			return low
		case math.IsInf(low, -1):
			return high
		}
		return low + (high-low)*rank/n
	}
	return bounds[buckets]
}
