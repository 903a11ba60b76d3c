package fanout

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const patience = time.Minute

// collector is a listener that remembers what it heard.
type collector struct {
	mu    sync.Mutex
	heard []int
}

func (c *collector) hear(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, n)
}

func (c *collector) expect(t *testing.T, want ...int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.heard, want) {
		t.Errorf("heard %v, want %v", c.heard, want)
	}
}

func TestEachListenerHearsEachValueInOrder(t *testing.T) {
	var f Fanout[int]
	var first, second collector
	f.Listen(first.hear)
	stop := f.Listen(second.hear)
	f.Add(1, false)
	f.Add(2, true)
	if !f.Flush(patience) {
		t.Fatal("not flushed")
	}
	stop()
	stop() // again, which must not take the other one away
	f.Add(3, false)
	f.Flush(patience)
	first.expect(t, 1, 2, 3)
	second.expect(t, 1, 2)
}

func TestWithoutAListenerNothingWaitsAndNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails where a goroutine is left
		var f Fanout[int]
		f.Add(1, false)
		if f.Heard() || f.running || f.waiting != nil || !f.Flush(0) {
			t.Error("something happens though nobody listens")
		}
		f.Listen(func(int) {})()
		f.Add(2, false)
		if f.Heard() || f.waiting != nil {
			t.Error("something waits though the only listener has stopped")
		}
	})
}

func TestTheGoroutineEndsWhenNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Fanout[int]
		var c collector
		f.Listen(c.hear)
		for n := range 3 {
			f.Add(n, false)
			synctest.Wait()
			f.mu.Lock()
			if f.running {
				t.Errorf("it runs after value %d was handed on", n)
			}
			f.mu.Unlock()
		}
		c.expect(t, 0, 1, 2)
	})
}

func TestWhoAddsNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Fanout[int]
		begun, release := make(chan struct{}), make(chan struct{})
		var c collector
		f.Listen(func(n int) {
			if n == 0 {
				close(begun)
				<-release
			}
			c.hear(n)
		})
		f.Add(0, false)
		<-begun
		for n := range limit + 10 {
			f.Add(n+1, false)
		}
		if dropped := f.Dropped(); dropped != 10 {
			t.Errorf("%d values were dropped, want 10", dropped)
		}
		for n := range reserve + 1 {
			f.Add(-1-n, true)
		}
		if dropped := f.Dropped(); dropped != 11 {
			t.Errorf("%d values were dropped after the rare ones, want 11", dropped)
		}
		if f.Flush(time.Second) {
			t.Error("flushed while the listener does not return")
		}
		close(release)
		if !f.Flush(time.Second) {
			t.Error("not flushed")
		}
		if want := 1 + limit + reserve; len(c.heard) != want {
			t.Errorf("%d values were handed on, want %d", len(c.heard), want)
		}
	})
}

// A Fanout that is always busy must not keep a Flush waiting.
func TestFlushWaitsForWhatWasAddedBeforeItAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Fanout[int]
		next := make(chan struct{})
		f.Listen(func(n int) {
			<-next
			if n < 10 {
				f.Add(n+1, false)
			}
		})
		f.Add(0, false)
		synctest.Wait()
		flushed := make(chan bool)
		go func() { flushed <- f.Flush(patience) }()
		synctest.Wait()
		next <- struct{}{}
		if !<-flushed {
			t.Error("not flushed")
		}
		close(next)
	})
}

func TestAPanicIsToldAndTheListenerStays(t *testing.T) {
	var c collector
	var told []any
	f := Fanout[int]{Panicked: func(v any) { told = append(told, v) }}
	f.Listen(func(n int) {
		if n == 1 {
			panic("of a listener")
		}
	})
	f.Listen(c.hear)
	for n := range 3 {
		f.Add(n, false)
	}
	f.Flush(patience)
	c.expect(t, 0, 1, 2)
	if !slices.Equal(told, []any{"of a listener"}) {
		t.Errorf("told of %v", told)
	}
}

// testing.T's FailNow does it, among others.
func TestAListenerThatEndsTheGoroutineEndsNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f Fanout[int]
		var c, before, behind collector
		f.Listen(before.hear)
		f.Listen(func(n int) {
			if n == 1 {
				runtime.Goexit()
			}
			c.hear(n)
		})
		f.Listen(func(int) { runtime.Goexit() })
		f.Listen(behind.hear)
		for n := range 4 {
			f.Add(n, false)
		}
		if !f.Flush(patience) {
			t.Error("not flushed")
		}
		c.expect(t, 0, 2, 3)
		before.expect(t, 0, 1, 2, 3)
		behind.expect(t, 0, 1, 2, 3)
	})
}

func TestAValueIsCompletedOnceForAllListeners(t *testing.T) {
	n := 0
	f := Fanout[int]{Complete: func(v int) int { n++; return v + 10*n }}
	var first, second collector
	f.Listen(first.hear)
	f.Listen(second.hear)
	f.Add(1, false)
	f.Add(2, false)
	f.Flush(patience)
	first.expect(t, 11, 22)
	second.expect(t, 11, 22)
}

func TestAListenerMayStopItself(t *testing.T) {
	var f Fanout[int]
	var c collector
	var stop func()
	stop = f.Listen(func(n int) {
		c.hear(n)
		stop()
	})
	f.Add(1, false)
	f.Add(2, false)
	f.Flush(patience)
	c.expect(t, 1)
}
