package recent

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// counters are two that a test counts with.
type counters [2]atomic.Uint64

func (c *counters) read() []uint64 { return []uint64{c[0].Load(), c[1].Load()} }

func TestEachIntervalHasItsOwnGrowth(t *testing.T) {
	var c counters
	r := New(4, 10, c.read)
	for _, count := range []struct {
		at      int64
		counter int
	}{{3, 0}, {7, 0}, {12, 1}, {48, 0}, {49, 1}, {49, 1}} {
		r.Note(count.at)
		c[count.counter].Add(1)
	}
	for _, test := range []struct {
		name string
		now  int64
		want [][]uint64
	}{
		{"now in the last interval", 49, [][]uint64{{0, 1}, nil, nil, {1, 2}}},
		{"later, when the last one has moved on", 61, [][]uint64{nil, {1, 2}, nil, nil}},
		{"when nothing is recent any more", 1000, [][]uint64{nil, nil, nil, nil}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all := r.Intervals(test.now)
			for i, growth := range all {
				if !slices.Equal(growth.Counters, test.want[i]) {
					t.Errorf("interval %d grew by %v, want %v", i, growth.Counters, test.want[i])
				}
				if want := test.now/10*10 - int64(len(all)-1-i)*10; growth.Start != want {
					t.Errorf("interval %d starts at %d, want %d", i, growth.Start, want)
				}
			}
		})
	}
}

func TestTheFirstIntervalsAreEmptyBeforeTheStart(t *testing.T) {
	var c counters
	r := New(3, 10, c.read)
	r.Note(2)
	c[1].Add(5)
	if all := r.Intervals(15); all[0].Counters != nil || !slices.Equal(all[1].Counters, []uint64{0, 5}) || all[2].Counters != nil {
		t.Errorf("grew %v", all)
	}
}

func TestNothingIsLostHoweverManyCount(t *testing.T) {
	const goroutines, each = 4, 10_000
	var c counters
	var now atomic.Int64
	r := New(goroutines*each/100+2, 100, c.read)
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for range each {
				r.Note(now.Add(1))
				c[0].Add(1)
			}
		})
	}
	wait.Wait()
	sum := uint64(0)
	for _, growth := range r.Intervals(now.Load()) {
		if growth.Counters != nil {
			sum += growth.Counters[0]
		}
	}
	if sum != goroutines*each {
		t.Errorf("the intervals have %d, want %d", sum, goroutines*each)
	}
}
