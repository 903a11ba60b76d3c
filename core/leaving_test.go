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
		reason  Reason
		act     func(*Controller, *Connection)
		after   time.Duration
	}{
		{"at once in a drain", nil, ReasonDrain, drain, 0},
		{"at its own moment in a spread drain", []Option{DrainSpread(10 * time.Second)}, ReasonDrain, drain, 5 * time.Second},
		{"after the delay of a drain", []Option{DrainDelay(10 * time.Second)}, ReasonDrain, drain, 10 * time.Second},
		{"at its own moment after the delay", []Option{DrainDelay(5 * time.Second), DrainSpread(10 * time.Second)}, ReasonDrain, drain, 10 * time.Second},
		{"when the server is shut down", nil, ReasonDrain, func(_ *Controller, conn *Connection) { conn.CloseLeaving() }, 0},
		{"when the connection is gone", nil, "", func(_ *Controller, conn *Connection) { conn.SetState(http.StateClosed) }, 0},
		{"at its age", []Option{OnAge(time.Minute)}, ReasonAge, wait, time.Minute},
		{"when an outside flag goes up", []Option{flagAfter(3 * time.Second)}, ReasonDrain, wait, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newController(t, test.options...)
				conn := openConnection(c)
				conn.lot = 1 << 31
				defer conn.SetState(http.StateClosed)
				ctx, end := stream(c, conn)
				defer end()
				leaving := Leaving(ctx)
				if leaving != Leaving(ctx) {
					t.Error("the stream has two channels")
				}
				if reason := LeavingReason(ctx); reason != "" {
					t.Errorf("the reason is %q before it is closed", reason)
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
				if reason := LeavingReason(ctx); reason != test.reason {
					t.Errorf("the reason is %q, want %q", reason, test.reason)
				}
			})
		})
	}
}

// stream begins an exchange that is under way until end is called.
func stream(c *Controller, conn *Connection) (ctx context.Context, end func()) {
	r := requestOn(conn, "/stream")
	ctx, cancel := context.WithCancel(r.Context())
	r, e := c.Begin(r.WithContext(ctx))
	e.Writer(newFakeWriter())
	return r.Context(), func() {
		e.End()
		cancel()
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
		ctx, end := stream(c, conn)
		defer end()
		leaving := Leaving(ctx)
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

func TestAStreamDoesNotLeaveBecauseItsOwnResponseAnnounces(t *testing.T) {
	for name, proto := range map[string]int{"HTTP/1": 1, "HTTP/2": 2} {
		c := newController(t, OnRoutes("/events"))
		conn := openConnection(c)
		r := requestOn(conn, "/events")
		r.ProtoMajor = proto
		exchange(c, r, func(w http.ResponseWriter, r *http.Request) {
			leaving := Leaving(r.Context())
			w.(http.Flusher).Flush()
			if reason, announced := Announced(r.Context()); !announced || reason != ReasonRoute {
				t.Fatalf("%s: announced %v for %q", name, announced, reason)
			}
			select {
			case <-leaving:
				t.Errorf("%s: it is told to leave by its own header: %q", name, LeavingReason(r.Context()))
			default:
			}
		})
	}
}

func TestAStreamThatHasAnnouncedLeavesAtItsConnectionsAgeAllTheSame(t *testing.T) {
	for name, proto := range map[string]int{"HTTP/1": 1, "HTTP/2": 2} {
		for _, late := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c := newController(t, OnAge(time.Minute))
				conn := openConnection(c)
				if proto == 2 {
					conn.AnnounceWith(func(Reason) {})
				}
				r := requestOn(conn, "/events")
				r.ProtoMajor = proto
				r, e := c.Begin(r)
				defer e.End()
				w := e.Writer(newFakeWriter())
				leaving := Leaving(r.Context())
				if late {
					w.(http.Flusher).Flush()
				}
				CloseAfter(r.Context(), ReasonHandler)
				w.(http.Flusher).Flush()
				e.Sensitive() // marks the connection where the header has left
				start := time.Now()
				<-leaving
				if d := time.Since(start); d < 54*time.Second || d > 66*time.Second || LeavingReason(r.Context()) != ReasonAge {
					t.Errorf("%s, late %v: it left after %v for %q", name, late, d, LeavingReason(r.Context()))
				}
			})
		}
	}
}

func TestAStreamLeavesWhenAnotherOnesRuleEndsItsHTTP2Connection(t *testing.T) {
	c := newController(t, OnRoutes("/login"))
	conn := openConnection(c)
	told := make(chan Reason, 1)
	conn.AnnounceWith(func(reason Reason) { told <- reason })
	on := func(target string) *http.Request {
		r := requestOn(conn, target)
		r.ProtoMajor = 2
		return r
	}
	exchange(c, on("/events"), func(_ http.ResponseWriter, r *http.Request) {
		leaving := Leaving(r.Context())
		exchange(c, on("/login"), nothing)
		if reason := <-told; reason != ReasonRoute {
			t.Errorf("the client was told %q", reason)
		}
		<-leaving
		if reason := LeavingReason(r.Context()); reason != ReasonRoute {
			t.Errorf("it left for %q", reason)
		}
	})
}

func TestALaterStreamOfAConnectionHasAChannelOfItsOwn(t *testing.T) {
	for name, proto := range map[string]int{"HTTP/1": 1, "HTTP/2": 2} {
		c := newController(t)
		conn := openConnection(c)
		for range 2 {
			r := requestOn(conn, "/")
			r.ProtoMajor = proto
			exchange(c, r, func(_ http.ResponseWriter, r *http.Request) {
				leaving := Leaving(r.Context())
				select {
				case <-leaving:
					t.Errorf("%s: closed from the start", name)
				default:
				}
				c.Drain()
				<-leaving
				c.Resume()
			})
		}
	}
}

func TestAgeAsksExemptAndTheBudgetBeforeAStreamHasToLeave(t *testing.T) {
	for name, options := range map[string][]Option{
		"Exempt": {Exempt("/stream")},
		"Budget": {Budget(1e-9, 1)},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newController(t, append(options, OnAge(time.Minute))...)
			if name == "Budget" {
				c.budget.Take(c.now())
			}
			ctx, end := stream(c, openConnection(c))
			defer end()
			leaving := Leaving(ctx)
			time.Sleep(time.Hour)
			select {
			case <-leaving:
				t.Errorf("%s: it had to leave for %q", name, LeavingReason(ctx))
			default:
			}
		})
	}
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
	if c.leaving.Open() != 0 {
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
		ctx, end := stream(c, conn)
		defer end()
		Leaving(ctx)
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

func TestBackgroundWorkThatAsksForLeavingTakesNoLaterExchangeOutOfFlight(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)
	request := func() *http.Request {
		r := requestOn(conn, "/")
		ctx, cancel := context.WithCancel(r.Context()) // as net/http makes it
		t.Cleanup(cancel)
		return r.WithContext(ctx)
	}
	first := request()
	background := context.WithoutCancel(first.Context())
	exchange(c, first, func(http.ResponseWriter, *http.Request) {})
	exchange(c, request(), func(_ http.ResponseWriter, r *http.Request) {
		Leaving(background)
		if n := c.Stats().InFlight; n != 1 {
			t.Errorf("%d in flight after background work of the request before, not 1", n)
		}
		limited, cancel := context.WithTimeout(r.Context(), time.Hour)
		defer cancel()
		Leaving(limited)
		if n := c.Stats().InFlight; n != 0 {
			t.Errorf("a stream with a limit of its own counts as %d in flight", n)
		}
	})
}
