package core

import (
	"bytes"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core/internal/callback"
)

func TestDrainIsIdempotentAndResumeTakesItBack(t *testing.T) {
	c := newController(t)
	if c.Draining() || !c.Resume() {
		t.Fatal("a new Controller drains, or refuses a needless Resume")
	}
	c.Drain()
	since := c.drainSince()
	c.Drain()
	if !c.Draining() || c.drainSince() != since {
		t.Error("a second Drain changes something")
	}
	if !c.Resume() || c.Draining() {
		t.Error("Resume does not take it back")
	}
	if w := exchange(c, requestOn(openConnection(c), "/"), nothing); w.announces() {
		t.Error("a resumed Controller announces")
	}
	c.Drain()
	c.ListenerClosed()
	if c.Resume() || !c.Draining() {
		t.Error("Resume succeeds after a listener was closed")
	}
}

func TestNobodyIsToldWhileAListenerIsBeingClosed(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		waits []time.Duration // of one response after another
	}{
		"soon":                  {5 * time.Millisecond, []time.Duration{5 * time.Millisecond, 0}},
		"by a Close that hangs": {time.Hour, []time.Duration{closePatience, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctl := newController(t)
				closed := make(chan struct{})
				go func() {
					defer close(closed)
					ctl.DrainAndClose(func() {
						if !ctl.Draining() {
							t.Error("the flag is not up yet")
						}
						time.Sleep(c.takes)
					})
				}()
				synctest.Wait()
				for _, want := range c.waits {
					began := time.Now()
					w := exchange(ctl, requestOn(openConnection(ctl), "/"), nothing)
					if took := time.Since(began); took != want || !w.announces() {
						t.Errorf("it took %v, want %v; announced %v", took, want, w.announces())
					}
				}
				<-closed
			})
		})
	}
}

// distanceFromUniform is the Kolmogorov distance from uniform on [0,1).
func distanceFromUniform(values []float64) (d float64) {
	slices.Sort(values)
	n := float64(len(values))
	for i, v := range values {
		d = max(d, math.Abs(v-float64(i)/n), math.Abs(float64(i+1)/n-v))
	}
	return d
}

func TestASpreadDrainTakesEachConnectionAtItsOwnMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 500
		c := newController(t, DrainSpread(10*time.Second))
		var conns []*Connection
		for range n {
			conns = append(conns, openConnection(c))
		}
		c.Drain()
		start := time.Now()
		var moments []float64
		for len(conns) > 0 && time.Since(start) <= 11*time.Second {
			conns = slices.DeleteFunc(conns, func(conn *Connection) bool {
				gone := exchange(c, requestOn(conn, "/"), nothing).announces()
				if gone {
					moments = append(moments, time.Since(start).Seconds()/10)
				}
				return gone
			})
			time.Sleep(20 * time.Millisecond)
		}
		if len(conns) > 0 {
			t.Errorf("%d connections stay after the spread", len(conns))
		}
		if d := distanceFromUniform(moments); d > 0.02 {
			t.Errorf("the announcements are %.3f from uniform", d)
		}
	})
}

func TestADelayedDrainAnnouncesNothingBeforeAndFailsReadinessAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, DrainDelay(10*time.Second))
		conn := openConnection(c)
		started := c.DrainStarted()
		c.Drain()
		<-started
		if !c.Draining() {
			t.Error("it does not drain")
		}
		for range 10 {
			if exchange(c, requestOn(conn, "/"), nothing).announces() {
				t.Fatal("it announces too early")
			}
			if wait, draining := conn.UntilDrain(); !draining || wait <= 0 {
				t.Errorf("its moment is in %v; draining: %v", wait, draining)
			}
			time.Sleep(time.Second)
		}
		if !exchange(c, requestOn(conn, "/"), nothing).announces() {
			t.Error("it does not announce after the delay")
		}
		if !exchange(c, requestOn(openConnection(c), "/"), nothing).announces() {
			t.Error("a connection that comes later is not announced")
		}
	})
}

func TestADelayedDrainThatIsCalledOffHasItsDelayAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, DrainDelay(10*time.Second))
		conn := openConnection(c)
		c.Drain()
		time.Sleep(9 * time.Second)
		if !c.Resume() {
			t.Fatal("Resume refuses")
		}
		c.Drain()
		time.Sleep(9 * time.Second)
		if exchange(c, requestOn(conn, "/"), nothing).announces() {
			t.Error("it announces too early")
		}
		time.Sleep(time.Second)
		if !exchange(c, requestOn(conn, "/"), nothing).announces() {
			t.Error("it does not announce after the delay")
		}
	})
}

func TestAConnectionAcceptedDuringASpreadDrainHasTheRestOfItBeforeItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, DrainSpread(10*time.Second))
		c.Drain()
		time.Sleep(7 * time.Second)
		for range 1000 {
			if lot := openConnection(c).lot.Float(); lot < 0.7 {
				t.Fatalf("a lot of %v at a share of 0.7", lot)
			}
		}
	})
}

func TestDrainWhenIsReadAtMostOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, up := 0, false
		c := newController(t, DrainWhen(func() bool { reads++; return up }))
		conn := openConnection(c)
		for range 100 {
			exchange(c, requestOn(conn, "/"), nothing)
			c.Draining()
			c.Stats()
		}
		if reads != 1 {
			t.Errorf("%d readings within no time", reads)
		}
		up = true
		time.Sleep(time.Second)
		if w := exchange(c, requestOn(conn, "/"), nothing); !w.announces() || !c.Draining() {
			t.Error("a flag that is up does not announce")
		}
		if c.Resume(); !c.Draining() {
			t.Error("Resume takes down an outside flag")
		}
		up = false
		time.Sleep(time.Second)
		if c.Draining() {
			t.Error("a flag that is down again still drains")
		}
	})
}

func TestAPanickingDrainWhenCountsAsFalseAndIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := newController(t, DrainWhen(func() bool { panic("no flag") }), Logger(slog.New(slog.NewTextHandler(&log, nil))))
		for range 3 {
			if c.Draining() {
				t.Fatal("it drains")
			}
			time.Sleep(2 * time.Second)
		}
		if n := strings.Count(log.String(), "panicked"); n != 1 {
			t.Errorf("said %d times: %s", n, &log)
		}
	})
}

func TestOneFlagOfSeveralIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, DrainWhen(func() bool { return false }), DrainWhen(func() bool { return true }))
		if !c.Draining() {
			t.Error("it does not drain")
		}
	})
}

func TestADrainThatBeginsWhileTheHandlerRunsCounts(t *testing.T) {
	c := newController(t)
	w := exchange(c, requestOn(openConnection(c), "/"), func(http.ResponseWriter, *http.Request) { c.Drain() })
	if !w.announces() {
		t.Error("the response does not announce")
	}
}

func TestWhateverResumeDoesTheFlagIsUpOnceAListenerIsClosed(t *testing.T) {
	for range 2000 {
		c := newController(t)
		c.Drain()
		begun, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			close(begun)
			for c.Resume() {
				runtime.Gosched()
			}
		}()
		<-begun
		c.ListenerClosed()
		c.Drain()
		if <-done; !c.Draining() {
			t.Fatal("a listener is closed for good and the flag is down")
		}
	}
}

func TestAResumeBeforeTheListenerIsClosedIsNotRemembered(t *testing.T) {
	c := newController(t)
	c.ListenerClosed() // without a drain: an Accept error
	if c.Draining() || c.Resume() {
		t.Error("a closed listener is a drain, or Resume succeeds")
	}
	if c.Drain(); !c.Draining() {
		t.Error("it does not drain")
	}
}

func TestNobodyWaitsForADrainWhenThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var calls atomic.Int32
		answer := make(chan bool)
		c := newController(t, DrainWhen(func() bool { calls.Add(1); return <-answer }),
			Logger(slog.New(slog.NewTextHandler(&log, nil))))
		conn := openConnection(c)
		start := time.Now()
		for range 5 {
			if w := exchange(c, requestOn(conn, "/"), nothing); w.announces() || c.Draining() {
				t.Fatal("it drains")
			}
			time.Sleep(time.Second)
		}
		if waited := time.Since(start) - 5*time.Second; waited > callback.Patience {
			t.Errorf("waited for %v in all", waited)
		}
		if calls.Load() != 1 {
			t.Errorf("called %d times, the first of which has not returned", calls.Load())
		}
		if n := strings.Count(log.String(), "does not answer"); n != 1 {
			t.Errorf("said %d times: %s", n, &log)
		}
		answer <- true
		if synctest.Wait(); !c.drainingNow() {
			t.Error("a late answer does not count")
		}
		exchange(c, requestOn(conn, "/"), nothing) // reads it again
		answer <- false
		if synctest.Wait(); c.drainingNow() {
			t.Error("a late answer that takes it back does not count")
		}
	})
}

// drainingNow does not read the flags.
func (c *Controller) drainingNow() bool { return c.drainSince() != 0 }

func TestAFlagThatHangsDoesNotHideAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan bool)
		c := newController(t, DrainWhen(func() bool { return <-hang }), DrainWhen(func() bool { return true }))
		if !c.Draining() {
			t.Error("it does not drain")
		}
		close(hang)
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestDrainStartedIsClosedByTheNextDrain(t *testing.T) {
	c := newController(t)
	first := c.DrainStarted()
	if isClosed(first) || c.DrainStarted() != first {
		t.Error("closed before a drain, or another one each time")
	}
	c.Drain()
	if !isClosed(first) || !isClosed(c.DrainStarted()) {
		t.Error("open during a drain")
	}
	c.Resume()
	second := c.DrainStarted()
	if isClosed(second) {
		t.Error("closed after Resume")
	}
	c.Drain()
	c.Resume() // however short the drain was
	if !isClosed(second) {
		t.Error("open after a second drain")
	}
}

func TestDrainStartedSeesAnOutsideFlagAndThenStopsToLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		var up atomic.Bool
		c := newController(t, DrainWhen(func() bool { reads.Add(1); return up.Load() }))
		started := c.DrainStarted()
		time.Sleep(time.Minute)
		if isClosed(started) {
			t.Error("closed with the flag down")
		}
		up.Store(true)
		start := time.Now()
		<-started
		if d := time.Since(start); d > time.Second {
			t.Errorf("it took %v to see the flag", d)
		}
		before := reads.Load()
		time.Sleep(time.Minute)
		if after := reads.Load(); after != before {
			t.Errorf("%d readings after that", after-before)
		}
	})
}
