package core

import (
	"bytes"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
	c := newController(t, DrainWhen(func() bool { return false }), DrainWhen(func() bool { return true }))
	if !c.Draining() {
		t.Error("it does not drain")
	}
}

func TestADrainThatBeginsWhileTheHandlerRunsCounts(t *testing.T) {
	c := newController(t)
	w := exchange(c, requestOn(openConnection(c), "/"), func(http.ResponseWriter, *http.Request) { c.Drain() })
	if !w.announces() {
		t.Error("the response does not announce")
	}
}
