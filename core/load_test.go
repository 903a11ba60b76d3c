package core

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is clients on keep-alive connections, each with a request every 100 ms.
type crowd struct {
	ctl     *Controller
	clients []client
	// left is called for each connection that ended; by default it does not
	// come back.
	left func()
	// ended has the moments of the closes.
	ended []time.Time
}

// client is a connection and the request that it sends again and again.
type client struct {
	conn    *Connection
	request *http.Request
}

func newCrowd(ctl *Controller, size int) *crowd {
	c := &crowd{ctl: ctl, left: func() {}}
	for range size {
		c.join()
	}
	return c
}

func (c *crowd) join() {
	conn := openConnection(c.ctl)
	c.clients = append(c.clients, client{conn, requestOn(conn, "/")})
}

// comeBack makes every connection that ended be replaced by a new one.
func (c *crowd) comeBack() *crowd { c.left = c.join; return c }

// request lets each connection have one request and returns how many ended.
func (c *crowd) request() (ended int) {
	stay := c.clients[:0:0]
	for _, client := range c.clients {
		_, e := c.ctl.Begin(client.request)
		header := make(http.Header)
		e.Commit(header, http.StatusOK)
		e.End()
		if header.Get("Connection") != "close" {
			stay = append(stay, client)
			continue
		}
		ended++
		client.conn.SetState(http.StateClosed)
		c.ended = append(c.ended, time.Now())
	}
	c.clients = stay
	for range ended {
		c.left()
	}
	return ended
}

// run lets d pass and returns how many connections ended.
func (c *crowd) run(d time.Duration) (ended int) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ended += c.request()
	}
	return ended
}

// dial is a signal that a test sets, from 0 at soft to 1 at hard.
type dial struct{ place atomic.Uint64 }

func newDial(place float64) *dial {
	d := new(dial)
	d.set(place)
	return d
}

func (d *dial) set(place float64) { d.place.Store(math.Float64bits(place)) }

func (d *dial) rule() Option {
	return OnLoad(Signal{"dial", 100, 200, func(Snapshot) (float64, error) {
		return 100 + 100*math.Float64frombits(d.place.Load()), nil
	}})
}

func unlimited() Option { return Budget(math.Inf(1), 1) }

func near(got, want int, by float64) bool {
	return math.Abs(float64(got-want)) <= by*float64(want)
}

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

func TestSignalsAreReadEvery100msAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		ctl := newController(t, OnLoad(Signal{"counted", 1, 2, func(Snapshot) (float64, error) {
			reads.Add(1)
			return 0, nil
		}}))
		if got := reads.Load(); got != 1 {
			t.Errorf("New read it %d times", got)
		}
		for range 100 {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { newCrowd(ctl, 10).request() })
			}
			all.Wait()
			time.Sleep(10 * time.Millisecond)
		}
		if got := reads.Load(); got != 1+9 {
			t.Errorf("%d reads in a second, want 10", got)
		}
		time.Sleep(time.Minute)
		if got := reads.Load(); got != 1+9 {
			t.Errorf("%d reads without an exchange", got-10)
		}
	})
}

func TestNobodyWaitsForAReadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		var hangs atomic.Bool
		ctl := newController(t, unlimited(), OnLoad(Signal{"stuck", 1, 2, func(Snapshot) (float64, error) {
			if hangs.Load() {
				<-hang
			}
			return 2, nil
		}}))
		c := newCrowd(ctl, 1000)
		time.Sleep(time.Minute)
		c.run(time.Second)
		hangs.Store(true)
		time.Sleep(time.Second)
		stuck := make(chan struct{})
		go func() {
			defer close(stuck)
			exchange(ctl, requestOn(openConnection(ctl), "/"), nothing)
		}()
		synctest.Wait()
		time.Sleep(2 * time.Second)
		if got := c.comeBack().run(10 * time.Second); got != 0 {
			t.Errorf("%d connections ended for a share of long ago", got)
		}
		close(hang)
		<-stuck
		hangs.Store(false)
		if got := c.run(time.Second); got == 0 {
			t.Error("none ended when the signal answered again")
		}
	})
}

func TestAnUnknownSignalAsksForNothingAndIsSaidOnce(t *testing.T) {
	for name, read := range map[string]func() (float64, error){
		"it panics":         func() (float64, error) { panic("out of order") },
		"it has an error":   func() (float64, error) { return 9, fmt.Errorf("out of order") },
		"it is NaN":         func() (float64, error) { return math.NaN(), nil },
		"it is infinite":    func() (float64, error) { return math.Inf(1), nil },
		"it is -infinite":   func() (float64, error) { return math.Inf(-1), nil },
		"it is a nil value": func() (float64, error) { return *(*float64)(nil), nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var broken atomic.Bool
				ctl, err := New(Logger(slog.New(slog.NewTextHandler(&log, nil))), unlimited(),
					OnLoad(Signal{"odd", 1, 2, func(Snapshot) (float64, error) {
						if broken.Load() {
							return read()
						}
						return 1, nil
					}}))
				if err != nil {
					t.Fatal(err)
				}
				broken.Store(true)
				c := newCrowd(ctl, 100)
				if got := c.run(10 * time.Second); got != 0 {
					t.Errorf("%d connections ended", got)
				}
				if got := ctl.Stats().Signals[0]; got != (SignalStat{Name: "odd", Soft: 1, Hard: 2}) {
					t.Errorf("it is %+v", got)
				}
				if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "signal=odd") {
					t.Errorf("said:\n%s", &log)
				}
				broken.Store(false)
				c.run(time.Second)
				if got := ctl.Stats().Signals[0]; !got.Known || got.Value != 1 {
					t.Errorf("when it works again it is %+v", got)
				}
			})
		})
	}
}

func TestASignalThatPanicsAtTheStartDoesNotKeepTheProgramFromStarting(t *testing.T) {
	var log bytes.Buffer
	ctl, err := New(Logger(slog.New(slog.NewTextHandler(&log, nil))), OnLoad(Signal{"early", 1, 2, func(Snapshot) (float64, error) {
		panic("not yet")
	}}))
	if err != nil {
		t.Fatal(err)
	}
	if ctl.Stats().Signals[0].Known {
		t.Error("its value is known")
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "not yet") {
		t.Errorf("said:\n%s", &log)
	}
}

func TestAnErrorAtTheStartNamesTheSignal(t *testing.T) {
	_, err := New(OnLoad(Signal{"lost", 1, 2, func(Snapshot) (float64, error) {
		return 0, fmt.Errorf("no such file: %w", ErrSignalUnavailable)
	}}))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"OnLoad", `"lost"`, "no such file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %s", err, want)
		}
	}
}

func TestASignalMayAskForTheStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctl *Controller
		answered := false
		ctl = newController(t, OnLoad(Signal{"closes", 1, 2, func(Snapshot) (float64, error) {
			if ctl == nil {
				return 0, nil
			}
			closes := ctl.Stats().Closes[ReasonLoad]
			answered = true
			return float64(closes), nil
		}}))
		time.Sleep(time.Second)
		if newCrowd(ctl, 1).request(); !answered {
			t.Error("it was not read, or waits for itself")
		}
	})
}

func TestStatsReadTheSignalsWhereNoExchangeComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		load := newDial(1)
		c := newCrowd(newController(t, load.rule()), 1)
		c.run(5 * time.Second)
		load.set(0)
		time.Sleep(time.Second)
		if s := c.ctl.Stats(); s.LoadShare != 0 || s.Signals[0].Value != 100 {
			t.Errorf("the share is %v, the value %v", s.LoadShare, s.Signals[0].Value)
		}
	})
}
