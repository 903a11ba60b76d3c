//go:build !race

// One goroutine goes through hours of these crowds' time, so that there is no race
// to be found, and looking for one takes some twenty times as long.
package core

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheShareIsTheSignalsPlaceBetweenSoftAndHard(t *testing.T) {
	for _, test := range []struct {
		place float64
		want  int // of 1000
	}{{-0.5, 0}, {0, 0}, {0.03, 30}, {0.25, 250}, {0.5, 500}, {0.89, 890}, {1, 900}, {7, 900}} {
		t.Run(fmt.Sprint(test.place), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(newController(t, newDial(test.place).rule(), unlimited()), 1000)
				time.Sleep(time.Minute)
				if got := c.run(8 * time.Second); math.Abs(float64(got-test.want)) > 3 {
					t.Errorf("%d of 1000 connections ended, want %d", got, test.want)
				}
				s := c.ctl.Stats()
				if got := s.LoadShare; math.Abs(got-float64(test.want)/1000) > 0.001 {
					t.Errorf("the share is %v", got)
				}
				if got := s.Closes[ReasonLoad]; got != uint64(len(c.ended)) {
					t.Errorf("%d closes counted, %d made", got, len(c.ended))
				}
				if got := s.Signals; len(got) != 1 || !got[0].Known || got[0].Value != 100+100*test.place {
					t.Errorf("the signals are %+v", got)
				}
			})
		})
	}
}

func TestTheHighestSignalCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signal := func(name string, value float64) Signal {
			return Signal{name, 0, 10, func(Snapshot) (float64, error) { return value, nil }}
		}
		c := newCrowd(newController(t, OnLoad(signal("low", 1), signal("high", 4), signal("none", 0)), unlimited()), 1000)
		time.Sleep(time.Minute)
		if got := c.run(8 * time.Second); !near(got, 400, 0.01) {
			t.Errorf("%d of 1000 connections ended, want 400", got)
		}
	})
}

func TestUnderSteadyLoadTheChurnDiesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(newController(t, newDial(0.5).rule(), unlimited()), 1000).comeBack()
		time.Sleep(time.Minute)
		if got := c.run(10 * time.Second); !near(got, 500, 0.01) {
			t.Errorf("%d connections ended, want 500", got)
		}
		// Who came back goes again only to see whether that helps by now.
		if got := c.run(time.Minute); got > 6 {
			t.Errorf("%d more ended after that", got)
		}
	})
}

func TestALoadThatFlickersDoesNotMakeTheShareFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := newDial(0)
		c := newCrowd(newController(t, load.rule(), unlimited()), 1000)
		time.Sleep(time.Minute)
		var shares []float64
		flicker := func(d time.Duration) (ended int) {
			for i := range int(d / (100 * time.Millisecond)) {
				load.set([]float64{0.2, 0.9, 0.4, 0.7, 0.5}[i%5])
				ended += c.run(100 * time.Millisecond)
				shares = append(shares, c.ctl.Stats().LoadShare)
			}
			return ended
		}
		flicker(10 * time.Second)
		shares = nil
		// The share nears its limit for as long as one looks. One connection of
		// a thousand may have its place in what is left.
		if got := flicker(time.Minute); got > 1 {
			t.Errorf("%d connections ended after the first ten seconds", got)
		}
		if low, high := slices.Min(shares), slices.Max(shares); high-low > 1e-3 || high < 0.54 || high > 0.64 {
			t.Errorf("the share went from %v to %v", low, high)
		}
	})
}

func TestASpikeOfOneSampleClosesFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := newDial(0)
		c := newCrowd(newController(t, load.rule(), unlimited()), 1000)
		c.run(time.Minute)
		load.set(5)
		got := c.run(100 * time.Millisecond)
		load.set(0)
		got += c.run(time.Minute)
		if !near(got, 95, 0.02) {
			t.Errorf("%d of 1000 connections ended, want 95", got)
		}
	})
}

func TestWhenTheLoadIsGoneNobodyGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := newDial(1)
		c := newCrowd(newController(t, load.rule(), Budget(20, 40)), 1000).comeBack()
		time.Sleep(time.Minute)
		if c.run(8*time.Second) == 0 {
			t.Error("nobody went while there was load")
		}
		load.set(0)
		if got := c.run(time.Minute); got != 0 {
			t.Errorf("%d connections ended with no load", got)
		}
		if s := c.ctl.Stats(); s.HeldBack == 0 || s.LoadShare != 0 {
			t.Errorf("%d closes held back, the share is %v", s.HeldBack, s.LoadShare)
		}
	})
}

func TestWhoSurvivedOneEventIsNotSparedInTheNext(t *testing.T) {
	for _, test := range []struct {
		name  string
		first float64 // share of the first event
		calm  time.Duration
		next  float64
		want  int     // of 1000 that survived
		by    float64 // five standard deviations
	}{
		{"after a pause of 5 s it is the same event", 0.5, 5 * time.Second, 0.5, 0, 0},
		{"after 10 s all have an equal chance", 0.5, 11 * time.Second, 0.5, 500, 0.16},
		{"also few that lay side by side", 0.9, 11 * time.Second, 0.3, 300, 0.25},
		{"after two events, too", 0.9, 11 * time.Second, 0.5, 500, 0.16},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				load := newDial(test.first)
				c := newCrowd(newController(t, load.rule(), unlimited()), int(1000/(1-test.first)+0.5))
				time.Sleep(time.Minute)
				c.run(10 * time.Second)
				if got := len(c.clients); !near(got, 1000, 0.01) {
					t.Fatalf("%d survived, want 1000", got)
				}
				load.set(0)
				c.run(test.calm)
				load.set(test.next)
				if got := c.run(10 * time.Second); !near(got, test.want, test.by) {
					t.Errorf("%d survivors went in the next event, want %d", got, test.want)
				}
			})
		})
	}
}

func TestYoungConnectionsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(newController(t, newDial(1).rule(), unlimited()), 0)
		c.run(time.Minute)
		for range 1000 {
			c.join()
		}
		if got := c.run(time.Second); got != 0 {
			t.Errorf("%d young connections ended", got)
		}
		if got := c.run(time.Second); got == 0 {
			t.Error("none ended when they were old enough")
		}
	})
}

// closesPer returns the number of closes in each d since start.
func (c *crowd) closesPer(d time.Duration, start time.Time) []int {
	per := make([]int, time.Since(start)/d)
	for _, at := range c.ended {
		if i := int(at.Sub(start) / d); i < len(per) {
			per[i]++
		}
	}
	return per
}

func TestClosesThatDoNotHelpAreHalvedDownToOneInTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := newDial(1)
		c := newCrowd(newController(t, load.rule(), Budget(20, 40)), 1000).comeBack()
		time.Sleep(time.Minute)
		start := time.Now()
		c.run(3 * time.Minute)
		got := c.closesPer(10*time.Second, start)
		for i, n := range got {
			want := 20 * 10 / math.Pow(2, float64(i))
			if i == 0 {
				want += 40
			}
			// The judgements come a little later each time.
			if want = max(want, 1); float64(n) > want*1.5+2 {
				t.Errorf("in the %d. ten seconds %d ended, want %v", i+1, n, want)
			}
		}
		if last := got[len(got)-6:]; slices.Min(last) < 1 || slices.Max(last) > 2 {
			t.Errorf("in the last minute %v ended every ten seconds, want one", last)
		}
		if rate := c.ctl.Stats().LoadRate; rate != 0.1 {
			t.Errorf("the rate is %v", rate)
		}

		load.set(0)
		c.run(11 * time.Second)
		if rate := c.ctl.Stats().LoadRate; rate != 20 {
			t.Errorf("the rate is %v after the load was gone", rate)
		}
	})
}

func TestClosesThatHelpAreNotHalved(t *testing.T) {
	for _, size := range []int{50, 500, 5_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Every second connection comes back, as with two replicas.
				soft := float64(size) / 4
				ctl := newController(t, Budget(20, 40), OnLoad(Signal{"connections", soft, 3 * soft,
					func(s Snapshot) (float64, error) { return float64(s.Connections), nil }}))
				c := newCrowd(ctl, size)
				back := false
				c.left = func() {
					if back = !back; back {
						c.join()
					}
				}
				time.Sleep(time.Minute)
				for ctl.Stats().LoadShare == 0 {
					c.run(100 * time.Millisecond)
				}
				for range 30 {
					c.run(time.Second)
					if s := ctl.Stats(); s.LoadShare > 0 && s.LoadRate != 20 {
						t.Fatalf("the rate is %v, with %d of %d connections left", s.LoadRate, len(c.clients), size)
					}
				}
			})
		})
	}
}

func TestTheRateRecoversWhenClosesHelpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alone := true
		ctl := newController(t, Budget(20, 40), OnLoad(Signal{"connections", 10, 50,
			func(s Snapshot) (float64, error) { return float64(s.Connections), nil }}))
		c := newCrowd(ctl, 100)
		c.left = func() {
			if alone {
				c.join()
			}
		}
		time.Sleep(time.Minute)
		c.run(2 * time.Minute)
		if rate := ctl.Stats().LoadRate; rate > 1 {
			t.Fatalf("the rate is %v while all come back", rate)
		}
		alone = false
		c.run(5 * time.Minute)
		if s := ctl.Stats(); s.LoadRate < 1 && s.LoadShare > 0 {
			t.Errorf("the rate is %v and the share %v, with %d connections left", s.LoadRate, s.LoadShare, len(c.clients))
		}
	})
}

func TestClosesForLoadStayWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(newController(t, newDial(1).rule(), Budget(5, 10)), 1000).comeBack()
		time.Sleep(time.Minute)
		start := time.Now()
		c.run(10 * time.Second)
		for i, n := range c.closesPer(time.Second, start) {
			if most := 5 + 10*max(0, 1-i) + 1; n > most {
				t.Errorf("in second %d %d ended, want %d at most", i+1, n, most)
			}
		}
		if s := c.ctl.Stats(); s.HeldBack == 0 {
			t.Error("nothing was held back")
		}
	})
}

func TestHalvingForLoadLeavesTheBudgetToTheOtherRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(newController(t, newDial(1).rule(), Budget(10, 1), OnRequestCount(1_000_000)), 1000).comeBack()
		time.Sleep(time.Minute)
		c.run(3 * time.Minute)
		for i := range 10 {
			conn := openConnection(c.ctl)
			conn.requests.Store(2_000_000)
			if !exchange(c.ctl, requestOn(conn, "/"), nothing).announces() {
				t.Errorf("close %d for the number of requests was held back", i+1)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
}
