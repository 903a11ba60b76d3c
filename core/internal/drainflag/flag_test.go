package drainflag

import (
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newFlag(outside ...func() bool) *Flag {
	f, start := new(Flag), time.Now()
	f.Init(outside, func() int64 { return int64(time.Since(start)) + 1 }, slog.New(slog.DiscardHandler))
	return f
}

func (d *Flag) up() bool { return d.Since() != 0 }

func TestItIsUpFromTheFirstRaiseToLower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlag()
		if f.up() || f.Kept() {
			t.Error("up from the start")
		}
		f.Raise()
		since := f.Since()
		time.Sleep(time.Second)
		f.Raise()
		if since == 0 || f.Since() != since {
			t.Errorf("up since %d, then since %d", since, f.Since())
		}
		if !f.Lower() || f.up() {
			t.Error("not lowered")
		}
		f.Keep()
		if f.up() || f.Lower() || !f.Kept() {
			t.Error("Keep raises it, or Lower succeeds after it")
		}
		f.Raise()
		if f.Lower() || f.Since() != since+int64(time.Second) {
			t.Errorf("after Keep up since %d", f.Since())
		}
	})
}

func TestNothingLowersItBetweenKeepAndRaise(t *testing.T) {
	for range 2000 {
		f := newFlag()
		f.Raise()
		begun, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			close(begun)
			for f.Lower() {
				runtime.Gosched()
			}
		}()
		<-begun
		f.Keep()
		f.Raise()
		if <-done; !f.up() {
			t.Fatal("kept, raised and down")
		}
	}
}

func TestTheEarlierOfBothCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outside atomic.Bool
		f := newFlag(outside.Load)
		outside.Store(true)
		f.Refresh()
		first := f.Since()
		time.Sleep(time.Minute)
		f.Raise()
		if first == 0 || f.Since() != first {
			t.Errorf("up since %d, and with Raise since %d", first, f.Since())
		}
		outside.Store(false)
		f.Refresh()
		if f.Since() != first+int64(time.Minute) {
			t.Errorf("after the outside flag went down up since %d", f.Since())
		}
	})
}

func TestOfTwoOutsideFlagsTheLastOneDownCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flags [2]atomic.Bool
		f := newFlag(flags[0].Load, flags[1].Load)
		for _, step := range [][2]bool{{true, false}, {true, true}, {false, true}, {false, false}, {true, true}} {
			flags[0].Store(step[0])
			flags[1].Store(step[1])
			time.Sleep(time.Second)
			f.Refresh()
			if want := step[0] || step[1]; f.up() != want {
				t.Errorf("with %v: up is %v", step, !want)
			}
		}
	})
}

func TestAWatcherSeesEachChangeAndMayAskAndStop(t *testing.T) {
	f := newFlag()
	var seen []bool
	var stop func()
	stop = f.Watch(func() {
		seen = append(seen, f.up())
		if f.Started(); len(seen) == 2 {
			stop()
		}
	})
	always := 0
	f.Always(func() { always++ })
	f.Raise()
	f.Lower()
	f.Raise()
	if want := []bool{true, false}; !slices.Equal(seen, want) || always != 3 {
		t.Errorf("seen %v, want %v; always called %d times", seen, want, always)
	}
}

func TestATimerReadsTheOutsideFlagsWhileThereIsAWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readings atomic.Int32
		f := newFlag(func() bool { readings.Add(1); return false })
		expect := func(want int32, when string) {
			t.Helper()
			if got := readings.Load(); got != want {
				t.Errorf("%d readings %s, want %d", got, when, want)
			}
		}
		time.Sleep(time.Minute)
		expect(0, "without a watcher")
		first, second := f.Watch(func() {}), f.Watch(func() {})
		time.Sleep(time.Minute + time.Second/2)
		first()
		expect(60, "in a minute")
		time.Sleep(time.Minute)
		second()
		expect(120, "in two minutes")
		time.Sleep(time.Hour)
		expect(120, "an hour after the last watcher")
	})
}
