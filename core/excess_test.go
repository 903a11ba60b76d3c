package core

import (
	"bytes"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fixedShare is a fair share that a test sets, and how often it was asked for.
type fixedShare struct{ share, asked atomic.Int64 }

func (f *fixedShare) rule() Option {
	return OnExcess(func() int {
		f.asked.Add(1)
		return int(f.share.Load())
	})
}

func shareOf(n int64) *fixedShare {
	f := new(fixedShare)
	f.share.Store(n)
	return f
}

func TestWhatIsAboveTheFairShareGoesAndThenNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share := shareOf(100)
		c := newCrowd(newController(t, share.rule(), unlimited()), 130)
		time.Sleep(time.Minute)
		// Where the last one asks again within the half minute is chance.
		if got := c.run(time.Minute); got < 28 || got > 30 {
			t.Errorf("%d closed, want 30 or a little less", got)
		}
		c.run(2 * time.Minute)
		if got := c.run(time.Minute); got != 0 {
			t.Errorf("%d closed after that", got)
		}
		s := c.ctl.Stats()
		if s.Closes[ReasonExcess] != 30 || s.HeldBack != 0 || s.FairShare != 100 || s.Open != 100 {
			t.Errorf("the stats are %+v", s)
		}
	})
}

func TestTheFairShareIsAskedForOnceASecondAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share := shareOf(1000)
		c := newCrowd(newController(t, share.rule()), 10)
		c.run(10 * time.Second)
		if got := share.asked.Load(); got < 9 || got > 11 {
			t.Errorf("asked %d times in 10 s", got)
		}
		c.ctl.Stats()
		time.Sleep(time.Hour)
		c.ctl.Stats()
		if got := share.asked.Load(); got > 11 {
			t.Error("asked without an exchange")
		}
	})
}

func TestExchangesHaveNothingToAskWhileNobodyHasToGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		share := shareOf(1000)
		c := newCrowd(newController(t, share.rule(), unlimited()), 100)
		rule := &c.ctl.excess
		if rule.resting.Load() {
			t.Error("it rests before the share was asked for")
		}
		for range 3 {
			c.request()
			if !rule.resting.Load() {
				t.Error("it does not rest below the share")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if rule.resting.Load() {
				t.Error("it rests for longer than a sample stands")
			}
		}
		time.Sleep(time.Hour)
		if asked := share.asked.Load(); asked != 3 || rule.wake.Stop() {
			t.Errorf("asked %d times with three exchanges, or the timer still runs", asked)
		}
		share.share.Store(50)
		if c.request(); rule.resting.Load() {
			t.Error("it rests while some have to go")
		}
		c.run(2 * time.Minute)
		if c.request(); !rule.resting.Load() || len(c.clients) != 50 {
			t.Errorf("with %d left of an excess over 50 it rests: %v", len(c.clients), rule.resting.Load())
		}
	})
}

func TestAnUnknownShareClosesNobody(t *testing.T) {
	for _, unknown := range []int64{0, -1, math.MinInt64} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(newController(t, shareOf(unknown).rule(), unlimited()), 100)
			time.Sleep(time.Minute)
			if got := c.run(time.Minute); got != 0 {
				t.Errorf("%d closed with a share of %d", got, unknown)
			}
			if got := c.ctl.Stats().FairShare; got != 0 {
				t.Errorf("a share of %d is shown as %d", unknown, got)
			}
		})
	}
}

func TestAFairShareThatPanicsOrHangsClosesNobodyAndIsSaidOnce(t *testing.T) {
	for name, f := range map[string]func() int{
		"panicked and counts as 0": func() int { panic("no") },
		"does not answer":          func() int { time.Sleep(time.Hour); return 1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				c := newCrowd(newController(t, OnExcess(f), unlimited(), Logger(slog.New(slog.NewTextHandler(&log, nil)))), 100)
				time.Sleep(time.Minute)
				if got := c.run(30 * time.Second); got != 0 {
					t.Errorf("%d closed", got)
				}
				if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, name) {
					t.Errorf("logged: %s", got)
				}
				time.Sleep(time.Hour) // for the goroutine that reads
			})
		})
	}
}

func TestAShareThatHangsMidwayEndsTheClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		c := newCrowd(newController(t, unlimited(), OnExcess(func() int {
			if hangs.Load() {
				time.Sleep(time.Hour)
			}
			return 100
		})), 200)
		time.Sleep(time.Minute)
		if got := c.run(5 * time.Second); got == 0 {
			t.Error("nobody closed")
		}
		hangs.Store(true)
		c.run(4 * time.Second)
		if got := c.run(time.Minute); got != 0 {
			t.Errorf("%d closed without an answer", got)
		}
		time.Sleep(time.Hour)
	})
}

func TestExemptRoutesAreNotClosedForExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(newController(t, shareOf(10).rule(), unlimited(), Exempt("/")), 100)
		time.Sleep(time.Minute)
		if got := c.run(time.Minute); got != 0 {
			t.Errorf("%d closed", got)
		}
	})
}

func TestExcessUsesTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(newController(t, shareOf(50).rule(), Budget(0.5, 1)), 100)
		time.Sleep(time.Minute)
		if got := c.run(20 * time.Second); got < 8 || got > 11 {
			t.Errorf("%d closed in 20 s with a budget of one in two", got)
		}
		if c.ctl.Stats().HeldBack == 0 {
			t.Error("nothing is counted as held back")
		}
	})
}

func TestConnectionsThatWereToldToGoAreNoExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, shareOf(100).rule(), unlimited(), OnStatus(http.StatusTeapot))
		c := newCrowd(ctl, 100)
		for range 100 { // announced, and not closed by anybody yet
			exchange(ctl, requestOn(openConnection(ctl), "/"), respond(http.StatusTeapot))
		}
		time.Sleep(time.Minute)
		if got := c.run(time.Minute); got != 0 {
			t.Errorf("%d closed", got)
		}
		if got := ctl.Stats().Open; got != 200 {
			t.Errorf("%d open", got)
		}
	})
}

func TestAConnectionIsToldToGoOnceHoweverItEnds(t *testing.T) {
	for name, end := range map[string]func(*Connection){
		"closed":               func(c *Connection) { c.SetState(http.StateClosed) },
		"closed twice":         func(c *Connection) { c.SetState(http.StateClosed); c.SetState(http.StateClosed) },
		"hijacked and closed":  func(c *Connection) { c.SetState(http.StateHijacked); c.SetState(http.StateClosed) },
		"marked after its end": func(c *Connection) { c.SetState(http.StateClosed); c.setMark(drainIndex) },
	} {
		c := newController(t)
		conn := openConnection(c)
		if name != "marked after its end" {
			conn.setMark(excessIndex)
			if n := c.counters.Sum().Leaving; n != 1 {
				t.Errorf("%s: %d leaving", name, n)
			}
		}
		end(conn)
		if sum := c.counters.Sum(); sum.Leaving != 0 || sum.Open != 0 {
			t.Errorf("%s: %d leaving of %d", name, sum.Leaving, sum.Open)
		}
	}
}

func TestWithoutARecordNobodyIsClosedForExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, shareOf(1).rule(), unlimited())
		for range 100 {
			openConnection(ctl)
		}
		time.Sleep(time.Minute)
		for range 300 {
			if w := exchange(ctl, requestOn(nil, "/"), nothing); w.announces() {
				t.Fatal("a response without a record announces")
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}

func TestASimulatedControllerTakesItsTimeAndChanceFromTheCaller(t *testing.T) {
	run := func(seed uint64) (ended []int) {
		now := time.Duration(0)
		ctl := newController(t, Simulated(func() time.Duration { return now }, seed), shareOf(100).rule(), unlimited())
		c := newCrowd(ctl, 200)
		now += time.Hour
		for range 60 {
			now += time.Second
			ended = append(ended, c.request())
		}
		return ended
	}
	sum := func(counts []int) (n int) {
		for _, c := range counts {
			n += c
		}
		return n
	}
	one, again := run(1), run(1)
	if sum(one) != 100 {
		t.Errorf("%d closed of an excess of 100", sum(one))
	}
	for i := range one {
		if one[i] != again[i] {
			t.Fatalf("the same seed gives %v and %v", one, again)
		}
	}
}

func TestLoadIsAskedBeforeExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := newDial(-1)
		c := newCrowd(newController(t, load.rule(), shareOf(10).rule(), unlimited()), 100)
		var last []*Connection
		for range 100 {
			last = append(last, openConnection(c.ctl))
		}
		time.Sleep(time.Minute)
		c.run(20 * time.Second) // so that two thirds of all have had their turn
		load.set(1)
		time.Sleep(time.Second)
		c.ctl.load.refresh(c.ctl.now())
		c.ctl.excess.refresh(c.ctl.now())
		due, now := 0, c.ctl.now()
		for _, conn := range last {
			if !c.ctl.excess.Goes(conn.lot, conn.opened, now) || !c.ctl.load.Goes(conn.lot, conn.opened, now) {
				continue
			}
			due++
			if got := reasonOf(t, c.ctl, conn, nothing); got != ReasonLoad {
				t.Fatalf("ended for %q", got)
			}
		}
		if due == 0 {
			t.Error("none of them is due for both")
		}
	})
}

func TestNothingLooksForOldConnectionsOnceTheLastHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, OnAge(time.Hour))
		conn := openConnection(c)
		var looks atomic.Int32
		c.ListConnections(func(yield func(*Connection) bool) {
			looks.Add(1)
			if conn.Idle() {
				yield(conn)
			}
		})
		conn.AnnounceWith(func(Reason) {})
		time.Sleep(10*time.Second + time.Second/2)
		if n := looks.Load(); n != 10 {
			t.Errorf("it looked %d times in ten seconds", n)
		}
		conn.SetState(http.StateClosed)
		time.Sleep(2 * time.Second)
		before := looks.Load()
		time.Sleep(time.Hour)
		if n := looks.Load(); n != before {
			t.Errorf("it looked %d times more", n-before)
		}
	})
}
