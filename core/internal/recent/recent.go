// Package recent tells how much counters have grown in each of the last
// intervals, without anybody who would have to look at them in time.
package recent

import (
	"sync"
	"sync/atomic"
)

// Recent remembers what counters were at the turns from one interval to the
// next. Who is about to count calls Note first; the first one in an interval
// remembers the counters for it. An interval in which nobody counts needs no
// memory:
//
//	time in s        3     7      12            48
//	Note, then +1    |     |      |             |
//	remembers        0            2             3
//	so there grew    2 in [0,10)  1 in [10,20)  1 in [40,50), none between
//
// The zero value is not usable; see New. All methods are safe for concurrent
// use. Who counts without a Note in between is counted for a neighbouring
// interval, but never lost.
type Recent struct {
	length int64           // of an interval, in nanoseconds
	read   func() []uint64 // the counters now, in a new slice
	newest atomic.Int64    // the interval of the newest turn

	mu    sync.Mutex
	turns []turn // a ring, by interval
}

// turn is what the counters were when an interval began.
type turn struct {
	interval int64
	counters []uint64
}

// New returns a Recent for so many intervals of a length in nanoseconds. Time
// begins at 0. read returns the counters, which only grow, in a slice that is
// not used again.
func New(intervals int, length int64, read func() []uint64) *Recent {
	r := &Recent{length: length, read: read, turns: make([]turn, intervals)}
	r.newest.Store(-1)
	return r
}

// Note is to be called before counting.
func (r *Recent) Note(now int64) {
	if interval := now / r.length; interval > r.newest.Load() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if interval > r.newest.Load() {
			r.turns[interval%int64(len(r.turns))] = turn{interval, r.read()}
			r.newest.Store(interval)
		}
	}
}

// Growth is by how much the counters grew in the interval that began at Start;
// nil where they did not.
type Growth struct {
	Start    int64
	Counters []uint64
}

// Intervals returns the last intervals, the oldest first and the one that has
// now in it last.
func (r *Recent) Intervals(now int64) []Growth {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := r.read()
	all := make([]Growth, len(r.turns))
	for i := range all {
		interval := now/r.length - int64(i)
		growth := &all[len(all)-1-i]
		growth.Start = interval * r.length
		if t := r.turns[max(interval, 0)%int64(len(r.turns))]; t.counters != nil && t.interval == interval {
			growth.Counters = make([]uint64, len(after))
			for n := range after {
				growth.Counters[n] = after[n] - t.counters[n]
			}
			after = t.counters
		}
	}
	return all
}
