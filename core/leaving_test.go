package core

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestLeavingAndCloseAfterDoNothingWithoutAController(t *testing.T) {
	if Leaving(context.Background()) != nil || CloseAfter(context.Background(), ReasonHandler) {
		t.Error("a context without a Controller answers")
	}
}

func TestLeavingClosesWhenTheConnectionHasToGo(t *testing.T) {
	drain := func(c *Controller, _ *Connection) { c.Drain() }
	wait := func(*Controller, *Connection) {}
	for _, test := range []struct {
		name    string
		options []Option
		act     func(*Controller, *Connection)
		after   time.Duration
	}{
		{"at once in a drain", nil, drain, 0},
		{"at its own moment in a spread drain", []Option{DrainSpread(10 * time.Second)}, drain, 5 * time.Second},
		{"when a response on the connection announces", nil, func(c *Controller, conn *Connection) {
			r := requestOn(conn, "/")
			r.ProtoMajor = 2
			exchange(c, r, func(_ http.ResponseWriter, r *http.Request) { CloseAfter(r.Context(), ReasonHandler) })
		}, 0},
		{"when the connection is gone", nil, func(_ *Controller, conn *Connection) { conn.SetState(http.StateClosed) }, 0},
		{"at its age", []Option{OnAge(time.Minute)}, wait, time.Minute},
		{"when an outside flag goes up", []Option{flagAfter(3 * time.Second)}, wait, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newController(t, test.options...)
				conn := openConnection(c)
				conn.lot = 1 << 31
				defer conn.SetState(http.StateClosed)
				ctx := requestOn(conn, "/stream").Context()
				leaving := Leaving(ctx)
				if leaving != Leaving(ctx) {
					t.Error("the connection has two channels")
				}
				select {
				case <-leaving:
					t.Fatal("closed from the start")
				default:
				}
				start := time.Now()
				test.act(c, conn)
				<-leaving
				// The age limit has its jitter, a flag is read once a second.
				if d := time.Since(start); d < test.after*9/10 || d > test.after*11/10+time.Second {
					t.Errorf("closed after %v, want %v", d, test.after)
				}
			})
		})
	}
}

// flagAfter is a flag that goes up d after it was first read.
func flagAfter(d time.Duration) Option {
	var first time.Time
	return DrainWhen(func() bool {
		if first.IsZero() {
			first = time.Now()
		}
		return time.Since(first) >= d
	})
}

func TestResumeTakesBackWhatASpreadDrainHasNotReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, DrainSpread(10*time.Second))
		conn := openConnection(c)
		conn.lot = 1 << 31
		leaving := Leaving(requestOn(conn, "/").Context())
		c.Drain()
		time.Sleep(time.Second)
		c.Resume()
		time.Sleep(time.Hour)
		select {
		case <-leaving:
			t.Error("closed after Resume")
		default:
		}
		conn.SetState(http.StateClosed)
	})
}

func TestLeavingOnAMarkedConnectionIsClosedAlready(t *testing.T) {
	c := newController(t, OnRoutes("/login"))
	conn := openConnection(c)
	exchange(c, requestOn(conn, "/login"), nothing)
	<-Leaving(requestOn(conn, "/").Context())
}

func TestLeavingWithoutARecordEndsWithItsExchange(t *testing.T) {
	c := newController(t)
	var leaving <-chan struct{}
	exchange(c, requestOn(nil, "/"), func(_ http.ResponseWriter, r *http.Request) {
		leaving = Leaving(r.Context())
		if n := c.Stats().InFlight; n != 0 {
			t.Errorf("a stream counts as %d in flight", n)
		}
	})
	<-leaving
	if len(c.leavers.open) != 0 {
		t.Error("the channel is still registered")
	}
	if n := c.Stats().InFlight; n != 0 {
		t.Errorf("%d in flight after it", n)
	}
}

func TestNothingPollsAFlagOnceTheLastLeavingChannelIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		c := newController(t, DrainWhen(func() bool { reads.Add(1); return false }))
		conn := openConnection(c)
		Leaving(requestOn(conn, "/").Context())
		time.Sleep(time.Minute + 500*time.Millisecond) // between two readings
		before := reads.Load()
		if before < 50 {
			t.Errorf("%d readings in a minute with a channel open", before)
		}
		conn.SetState(http.StateClosed)
		time.Sleep(time.Minute)
		if after := reads.Load(); after != before {
			t.Errorf("%d readings after it was closed", after-before)
		}
	})
}

func TestAStreamingExchangeIsNotInFlight(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)
	exchange(c, requestOn(conn, "/"), func(_ http.ResponseWriter, r *http.Request) {
		if n := c.Stats().InFlight; n != 1 {
			t.Errorf("%d in flight", n)
		}
		Leaving(r.Context())
		if n := c.Stats().InFlight; n != 0 {
			t.Errorf("a stream counts as %d in flight", n)
		}
	})
	if s := c.Stats(); s.InFlight != 0 || s.Exchanges != 1 {
		t.Errorf("%+v", s)
	}
	conn.SetState(http.StateClosed)
}
