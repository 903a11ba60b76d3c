package core

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"net/http"
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
