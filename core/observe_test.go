package core

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core/internal/callback"
	"github.com/politeclose/politeclose/core/internal/counters"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// told remembers events. Those of one test are few.
type told struct {
	mu     sync.Mutex
	events []Event
}

func (o *told) observe(e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// since returns what was told since the last call, once nothing more comes. It
// is for a test in a bubble.
func (o *told) since() []Event {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	events := o.events
	o.events = nil
	return events
}

func kinds(events []Event) (kinds []EventKind) {
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// addressed is a net.Conn of which only the address is asked.
type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}
}

func TestAConnectionsLifeIsToldInItsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, OnStatus(http.StatusTeapot))
		var o told
		ctl.Observe(o.observe)
		started := time.Now()
		conn := new(Connection)
		conn.Open(ctl, addressed{})
		time.Sleep(time.Second)
		exchange(ctl, requestOn(conn, "/"), nothing)
		exchange(ctl, requestOn(conn, "/"), respond(http.StatusTeapot))
		time.Sleep(time.Second)
		conn.SetState(http.StateClosed)
		time.Sleep(time.Second)
		conn.Gone(HowClient)

		const remote = "192.0.2.1:4711"
		want := []Event{
			{Kind: EventAccepted, Time: started, Connection: 1, Remote: remote, Protocol: "unknown"},
			{
				Kind: EventAnnounced, Time: started.Add(time.Second), Connection: 1, Remote: remote, Protocol: "1.1",
				Reason: ReasonStatus, Age: time.Second, Requests: 2,
			},
			{
				Kind: EventGone, Time: started.Add(3 * time.Second), Connection: 1, Remote: remote, Protocol: "1.1",
				Reason: ReasonStatus, How: HowAnnounced, Age: 3 * time.Second, Requests: 2, Compliance: 2 * time.Second,
			},
		}
		if events := o.since(); !slices.Equal(events, want) {
			t.Errorf("told\n%+v\nwant\n%+v", events, want)
		}
		s := ctl.Stats()
		if s.Opened["1.1"] != 1 || s.Ended[HowAnnounced] != 1 || s.Closes[ReasonStatus] != 1 || s.Announcements[ReasonStatus]["1.1"] != 1 {
			t.Errorf("the statistics are %+v", s)
		}
	})
}

func TestNothingIsToldOfAConnectionThatHasGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, OnStatus(http.StatusTeapot))
		var o told
		defer ctl.Observe(o.observe)()
		for name, end := range map[string]func(*http.Request){
			"a rule":         func(*http.Request) {},
			"its own asking": func(r *http.Request) { CloseAfter(r.Context(), ReasonHandler) },
		} {
			conn := openConnection(ctl)
			conn.AnnounceWith(func(Reason) {})
			exchange(ctl, requestOn(conn, "/"), func(w http.ResponseWriter, r *http.Request) {
				conn.Gone(HowClient) // a stream's handler is not waited for
				end(r)
				w.WriteHeader(http.StatusTeapot)
			})
			events := o.since()
			if !slices.Equal(kinds(events), []EventKind{EventAccepted, EventGone}) || events[1].How != HowClient || events[1].Reason != "" {
				t.Errorf("%s: told %+v", name, events)
			}
		}
		if s := ctl.Stats(); s.Closes[ReasonStatus]+s.Closes[ReasonHandler] != 0 || s.Ended[HowClient] != 2 {
			t.Errorf("the statistics are %+v", s)
		}
	})
}

func TestAnAnnouncementAtTheMomentOfTheEndIsToldBeforeIt(t *testing.T) {
	ctl := newController(t)
	var o told
	stop := ctl.Observe(o.observe)
	for range 2000 {
		conn := openConnection(ctl)
		conn.AnnounceWith(func(Reason) {})
		var both sync.WaitGroup
		both.Go(conn.AnnounceDrain)
		both.Go(func() { conn.Gone(HowClient) })
		both.Wait()
	}
	ctl.observers.Flush(time.Minute)
	stop()
	gone := make(map[uint64]bool)
	for _, e := range o.events {
		switch e.Kind {
		case EventAnnounced:
			if gone[e.Connection] {
				t.Fatalf("told after the end: %+v", e)
			}
		case EventGone:
			gone[e.Connection] = true
			if (e.How == HowAnnounced) != (e.Reason == ReasonDrain) {
				t.Errorf("gone: %+v", e)
			}
		}
	}
}

func TestAnEndThatNobodyWasToldOfHasNoReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t)
		var o told
		defer ctl.Observe(o.observe)()
		conn := openConnection(ctl)
		defer ctl.ListConnections(slices.Values([]*Connection{conn}))()
		_, e := ctl.Begin(requestOn(conn, "/"))
		e.Writer(newFakeWriter()).WriteHeader(http.StatusOK)
		e.Sensitive() // too late: the next response would announce
		e.End()
		if list := ctl.Connections(1); len(list) != 1 || list[0].Reason != "" {
			t.Errorf("listed is %+v", list)
		}
		conn.Gone(HowClient)
		if events := o.since(); len(events) != 2 || events[1].How != HowClient || events[1].Reason != "" {
			t.Errorf("told %+v", events)
		}
	})
}

// waiting is a net.Conn that knows its client when that has said who it is.
type waiting struct {
	addressed
	said chan struct{}
}

func (w waiting) RemoteAddr() net.Addr {
	<-w.said
	return w.addressed.RemoteAddr()
}

func TestNobodyWaitsForAConnectionThatDoesNotKnowItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t)
		var o told
		defer ctl.Observe(o.observe)()
		silent, other := waiting{said: make(chan struct{})}, new(Connection)
		first := new(Connection)
		start := time.Now()
		first.Open(ctl, silent)
		other.Open(ctl, addressed{})
		if waited := time.Since(start); waited != 0 {
			t.Errorf("who accepts waited for %v", waited)
		}
		time.Sleep(time.Second)
		events := o.since()
		if len(events) != 2 || events[0].Remote != "" || events[1].Remote != "192.0.2.1:4711" {
			t.Fatalf("told of %v", events)
		}
		stop := ctl.ListConnections(func(yield func(*Connection) bool) { yield(first) })
		defer stop()
		if list := ctl.Connections(1); len(list) != 1 || list[0].Remote != "" {
			t.Errorf("listed are %v", list)
		}
		close(silent.said)
		if list := ctl.Connections(1); len(list) != 1 || list[0].Remote != "192.0.2.1:4711" {
			t.Errorf("listed are %v, after it has said who it is", list)
		}
	})
}

// asked is a net.Conn that answers as a function does.
type asked struct {
	net.Conn
	answer func() net.Addr
}

func (a asked) RemoteAddr() net.Addr { return a.answer() }

func TestAConnectionThatCannotSayWhoItsClientIsHasNoneAndHarmsNobody(t *testing.T) {
	for name, answer := range map[string]func() net.Addr{
		"nil":                    func() net.Addr { return nil },
		"it panics":              func() net.Addr { panic("used after Close") },
		"it ends":                func() net.Addr { runtime.Goexit(); return nil },
		"an address that panics": func() net.Addr { return (*addressOfNobody)(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctl := newController(t)
				var o told
				defer ctl.Observe(o.observe)()
				conn := new(Connection)
				conn.Open(ctl, asked{answer: answer})
				if remote := conn.Remote(); remote != "" {
					t.Errorf("its client is %q", remote)
				}
				conn.Gone(HowClient)
				if events := o.since(); len(events) != 2 || events[0].Remote != "" || events[1].Remote != "" {
					t.Errorf("told of %v", events)
				}
			})
		})
	}
}

type addressOfNobody struct{ net.TCPAddr }

// atOnce is a net.Conn as stdlib's are.
type atOnce struct{ addressed }

func (atOnce) AnswersAtOnce() {}

// A machine may be too busy to run another goroutine within any time.
func TestNoGoroutineIsNeededToKnowAnOrdinaryClient(t *testing.T) {
	for _, test := range []struct {
		conn net.Conn
		want bool
	}{
		{new(net.TCPConn), true},
		{atOnce{}, true},
		{tls.Server(atOnce{}, nil), true},
		{tls.Server(addressed{}, nil), false},
		{addressed{}, false},
		{struct{ *net.TCPConn }{}, false}, // it may have a RemoteAddr of its own
	} {
		if got := answersAtOnce(test.conn); got != test.want {
			t.Errorf("%T answers at once: %v", test.conn, got)
		}
	}
}

func TestAConnectionIsAskedForItsClientOnceHoweverManyObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t)
		var all [5]told
		for i := range all {
			defer ctl.Observe(all[i].observe)()
		}
		var times atomic.Int64
		release := make(chan struct{})
		new(Connection).Open(ctl, asked{answer: func() net.Addr { times.Add(1); <-release; return nil }})
		start := time.Now()
		ctl.observers.Flush(time.Minute)
		if took := time.Since(start); times.Load() != 1 || took != callback.Patience {
			t.Errorf("it was asked %d times, which took %v", times.Load(), took)
		}
		for i := range all {
			if events := all[i].since(); len(events) != 1 {
				t.Errorf("observer %d was told %v", i, events)
			}
		}
		close(release)
	})
}

func TestAListOfConnectionsWaitsForThemAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t)
		release := make(chan struct{})
		all := make([]Connection, 100)
		for i := range all {
			all[i].Open(ctl, asked{answer: func() net.Addr { <-release; return nil }})
		}
		ctl.ListConnections(func(yield func(*Connection) bool) {
			for i := range all {
				if !yield(&all[i]) {
					return
				}
			}
		})
		start := time.Now()
		list := ctl.Connections(50)
		if took := time.Since(start); len(list) != 50 || took != callback.Patience {
			t.Errorf("%d connections after %v", len(list), took)
		}
		close(release)
	})
}

func TestHowAConnectionEndedIsWhatServerAndRulesKnow(t *testing.T) {
	closes := func(r *http.Request) *http.Request { r.Close = true; return r }
	for _, test := range []struct {
		name  string
		seen  How
		lives func(*Controller, *Connection)
		want  How
	}{
		{"the client left after an announcement", HowClient, func(ctl *Controller, c *Connection) {
			exchange(ctl, requestOn(c, "/"), respond(http.StatusTeapot))
		}, HowAnnounced},
		{"it was reset after an announcement", HowError, func(ctl *Controller, c *Connection) {
			exchange(ctl, requestOn(c, "/"), respond(http.StatusTeapot))
		}, HowAnnounced},
		{"it was cut after an announcement", HowForced, func(ctl *Controller, c *Connection) {
			exchange(ctl, requestOn(c, "/"), respond(http.StatusTeapot))
		}, HowForced},
		{"the client asked for it, and the server closed", "", func(ctl *Controller, c *Connection) {
			exchange(ctl, closes(requestOn(c, "/")), nothing)
		}, HowClient},
		{"the client left between requests", HowClient, func(ctl *Controller, c *Connection) {
			exchange(ctl, requestOn(c, "/"), nothing)
			c.SetState(http.StateIdle)
		}, HowClient},
		{"the server closed it between requests", "", func(ctl *Controller, c *Connection) {
			exchange(ctl, requestOn(c, "/"), nothing)
			c.SetState(http.StateIdle)
		}, HowIdle},
		{"the server closed it before a request", "", func(*Controller, *Connection) {}, HowIdle},
		{"the server closed it in a request", "", func(_ *Controller, c *Connection) {
			c.SetState(http.StateActive)
		}, HowError},
		{"a drain closed it", HowIdle, func(ctl *Controller, c *Connection) {
			exchange(ctl, requestOn(c, "/"), nothing)
			c.SetState(http.StateIdle)
		}, HowIdle},
		{"its handler had taken it over", "", func(_ *Controller, c *Connection) {
			c.SetState(http.StateActive)
			c.SetState(http.StateHijacked)
		}, HowHandler},
		{"the client left one that a handler had taken over", HowClient, func(_ *Controller, c *Connection) {
			c.SetState(http.StateActive)
			c.SetState(http.StateHijacked)
		}, HowClient},
		{"the server does not look", HowUnknown, func(_ *Controller, c *Connection) {}, HowUnknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctl := newController(t, OnStatus(http.StatusTeapot))
				var o told
				ctl.Observe(o.observe)
				conn := openConnection(ctl)
				test.lives(ctl, conn)
				conn.SetState(http.StateClosed)
				conn.Gone(test.seen)
				events := o.since()
				if last := events[len(events)-1]; last.Kind != EventGone || last.How != test.want {
					t.Errorf("told %+v, want how %q", last, test.want)
				}
				for how, n := range ctl.Stats().Ended {
					if want := map[bool]uint64{true: 1}[how == test.want]; n != want {
						t.Errorf("%d ended as %q, want %d", n, how, want)
					}
				}
			})
		})
	}
}

func TestEachProtocolIsCountedApart(t *testing.T) {
	ctl := newController(t, OnStatus(http.StatusTeapot))
	over := func(major, minor int) {
		conn := openConnection(ctl)
		r := requestOn(conn, "/")
		r.ProtoMajor, r.ProtoMinor = major, minor
		exchange(ctl, r, respond(http.StatusTeapot))
	}
	over(1, 0)
	over(1, 1)
	over(2, 0)
	openConnection(ctl).Gone(HowClient)
	openConnection(ctl).AnnounceWith(func(Reason) {}) // HTTP/2 before its first request
	r := requestOn(nil, "/")
	r.ProtoMajor, r.ProtoMinor = 3, 0
	exchange(ctl, r, respond(http.StatusTeapot))

	s := ctl.Stats()
	if want := map[string]uint64{"1.0": 1, "1.1": 1, "2": 2, "3": 0, "unknown": 1}; !reflect.DeepEqual(s.Opened, want) {
		t.Errorf("opened %v, want %v", s.Opened, want)
	}
	if want := map[string]uint64{"1.0": 1, "1.1": 1, "2": 1, "3": 1}; !reflect.DeepEqual(s.Announcements[ReasonStatus], want) {
		t.Errorf("announced %v, want %v", s.Announcements[ReasonStatus], want)
	}
	if s.Closes[ReasonStatus] != 4 || len(s.Announcements) != 1 {
		t.Errorf("closes %v, announcements %v", s.Closes, s.Announcements)
	}
}

func TestAnAnnouncementWithoutARecordIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, OnStatus(http.StatusTeapot))
		var o told
		ctl.Observe(o.observe)
		exchange(ctl, requestOn(nil, "/"), respond(http.StatusTeapot))
		events := o.since()
		if len(events) != 1 || events[0].Kind != EventAnnounced || events[0].Reason != ReasonStatus || events[0].Connection != 0 || events[0].Protocol != "1.1" {
			t.Errorf("told %+v", events)
		}
	})
}

func TestTheStepsOfADrainAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flag bool
		ctl := newController(t, DrainWhen(func() bool { return flag }))
		var o told
		ctl.Observe(o.observe)
		expect := func(phase Phase, want ...EventKind) {
			t.Helper()
			if kinds := kinds(o.since()); !slices.Equal(kinds, want) {
				t.Errorf("told %v, want %v", kinds, want)
			}
			if s := ctl.Stats(); s.Drain.Phase != phase || s.Draining != (phase != PhaseNone) || s.Drain.Since.IsZero() != (phase == PhaseNone) {
				t.Errorf("draining %v, %+v; want phase %q", s.Draining, s.Drain, phase)
			}
		}
		expect(PhaseNone)
		ctl.Drain()
		ctl.Drain()
		expect(PhaseAnnouncing, EventDrain)
		flag = true
		time.Sleep(2 * time.Second)
		ctl.Draining()
		ctl.Resume() // the other flag stands
		expect(PhaseAnnouncing)
		flag = false
		time.Sleep(2 * time.Second)
		ctl.Draining()
		expect(PhaseNone, EventResumed)

		until := time.Now().Add(time.Minute)
		ctl.Drain()
		ctl.DrainBegins(until.Add(-time.Second))
		ctl.DrainBegins(until)
		if s := ctl.Stats(); !s.Drain.Until.Equal(until) {
			t.Errorf("until %v, want the later one of two servers, %v", s.Drain.Until, until)
		}
		ctl.ListenerClosed()
		expect(PhaseWaiting, EventDrain, EventListenerClosed)
		ctl.Drained()
		expect(PhaseWaiting, EventDrained) // the other server is not
		ctl.Drained()
		expect(PhaseDrained, EventDrained)
	})
}

// Serve calls Drained last: who has been told when it returns has been told
// all.
func TestADrainsEndWaitsForObserversButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t)
		var o told
		ctl.Observe(func(e Event) {
			time.Sleep(lastEvents / 10)
			o.observe(e)
		})
		ctl.Drain()
		ctl.ListenerClosed()
		ctl.Drained()
		if kinds, want := kinds(o.events), []EventKind{EventDrain, EventListenerClosed, EventDrained}; !slices.Equal(kinds, want) {
			t.Errorf("told %v when Drained returned, want %v", kinds, want)
		}
		release := make(chan struct{})
		ctl.Observe(func(Event) { <-release })
		began := time.Now()
		ctl.Drained()
		if waited := time.Since(began); waited != lastEvents {
			t.Errorf("waited %v for an observer that does not return, want %v", waited, lastEvents)
		}
		close(release)
	})
}

func TestAnObserverThatPanicsIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		ctl := newController(t, Logger(slog.New(slog.NewTextHandler(&log, nil))))
		var o told
		ctl.Observe(func(Event) { panic("of an observer") })
		ctl.Observe(o.observe)
		ctl.Drain()
		ctl.Resume()
		if events := o.since(); len(events) != 2 {
			t.Errorf("the other observer was told %v", kinds(events))
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "of an observer") {
			t.Errorf("logged %q", log.String())
		}
	})
}

func TestEventsThatAreDroppedAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t)
		release := make(chan struct{})
		ctl.Observe(func(Event) { <-release })
		openConnection(ctl)
		synctest.Wait() // that one is being told
		for range 1<<14 + 3 {
			openConnection(ctl)
		}
		if s := ctl.Stats(); s.EventsDropped != 3 {
			t.Errorf("%d events were dropped, want 3", s.EventsDropped)
		}
		close(release)
	})
}

func TestWhileNobodyObservesAConnectionCostsNothingMore(t *testing.T) {
	ctl := newController(t, OnStatus(http.StatusTeapot))
	ctl.Observe(nil)()
	conn := new(Connection)
	if allocations := testing.AllocsPerRun(100, func() {
		*conn = Connection{}
		conn.Open(ctl, addressed{})
		conn.Gone(HowClient)
	}); allocations != 0 {
		t.Errorf("a connection that nobody observes makes %v allocations", allocations)
	}
	ctl.Observe(func(Event) {})()
	if ctl.observers.Heard() {
		t.Error("somebody observes, though it has stopped")
	}
}

func TestRecentClosesAreThoseOfTheLastFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, OnStatus(http.StatusTeapot), OnRoutes("/login"))
		started := time.Now()
		exchange(ctl, requestOn(openConnection(ctl), "/"), respond(http.StatusTeapot))
		time.Sleep(3 * time.Minute)
		exchange(ctl, requestOn(openConnection(ctl), "/"), respond(http.StatusTeapot))
		exchange(ctl, requestOn(openConnection(ctl), "/login"), nothing)
		sum := func() map[Reason]uint64 {
			sum := make(map[Reason]uint64)
			for _, interval := range ctl.RecentCloses() {
				for reason, n := range interval.Closes {
					sum[reason] += n
				}
			}
			return sum
		}
		if got, want := sum(), (map[Reason]uint64{ReasonStatus: 2, ReasonRoute: 1}); !reflect.DeepEqual(got, want) {
			t.Errorf("recently %v, want %v", got, want)
		}
		time.Sleep(3 * time.Minute)
		if got, want := sum(), (map[Reason]uint64{ReasonStatus: 1, ReasonRoute: 1}); !reflect.DeepEqual(got, want) {
			t.Errorf("three minutes later %v, want %v", got, want)
		}
		intervals := ctl.RecentCloses()
		if last := intervals[len(intervals)-1]; !last.Start.Equal(started.Add(6*time.Minute)) || len(intervals) != 30 {
			t.Errorf("%d intervals, the last one from %v", len(intervals), last.Start.Sub(started))
		}
	})
}

// Some keep what is noted about their request, others give it to the next one.
func TestEachConnectionHasItsOwnRequestUnderWayHoweverManyThereAre(t *testing.T) {
	ctl := newController(t)
	shards := make(map[*counters.Shard]bool)
	for lot := range shed.Lot(1 << 10) {
		shards[ctl.counters.Of(lot)] = true
	}
	all := make([]*Connection, 2*mostKept*len(shards))
	own := func(i int) string { return "GET /" + strconv.Itoa(i) }
	stop, stopped := make(chan struct{}), make(chan struct{})
	for i := range all {
		all[i] = new(Connection)
		all[i].Open(ctl, nil)
	}
	go func() {
		defer close(stopped)
		for i := 0; ; i = (i + 1) % len(all) {
			if route, ran := all[i].UnderWay(); route != "" && route != own(i) || ran < 0 {
				t.Errorf("connection %d has %q for %v under way", i, route, ran)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	const parts = 8 // each begins and ends connections of its own
	var busy sync.WaitGroup
	for part := range parts {
		busy.Go(func() {
			for range 3 {
				for i := part; i < len(all); i += parts {
					all[i].SetState(http.StateActive)
					if route, _ := all[i].UnderWay(); route != "" {
						t.Errorf("before the request is read %q is under way", route)
					}
					all[i].note(all[i].underWay.Load(), &http.Request{Method: "GET", RequestURI: "/" + strconv.Itoa(i)})
				}
				for i := part; i < len(all); i += parts {
					if route, ran := all[i].UnderWay(); route != own(i) || ran <= 0 {
						t.Errorf("connection %d has %q for %v under way", i, route, ran)
					}
					all[i].SetState(http.StateIdle)
					if route, ran := all[i].UnderWay(); route != "" || ran != 0 {
						t.Errorf("an idle connection has %q for %v under way", route, ran)
					}
				}
			}
		})
	}
	busy.Wait()
	close(stop)
	<-stopped
	kept := func() (sum int64) {
		for shard := range shards {
			sum += shard.Kept.Load()
		}
		return sum
	}
	if n := kept(); n < mostKept || n > int64(mostKept*len(shards)) {
		t.Errorf("%d keep theirs", n)
	}
	for _, conn := range all {
		conn.Gone(HowClient)
	}
	if n := kept(); n != 0 {
		t.Errorf("%d of those that have gone keep theirs", n)
	}
}

func TestARequestThatBeginsIsNeverListedAsTheOneBefore(t *testing.T) {
	ctl := newController(t)
	conn := new(Connection)
	conn.Open(ctl, nil)
	var newest atomic.Int64
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for !stop.Load() {
			now := newest.Load() // all before this one are over
			route, ran := conn.UnderWay()
			if n, err := strconv.ParseInt(strings.TrimPrefix(route, "GET /"), 10, 64); err == nil && n < now {
				t.Errorf("request %d begins, and %q is under way for %v", now, route, ran)
				return
			}
		}
	}()
	for i := range int64(100_000) {
		newest.Store(i) // the connection is idle
		conn.SetState(http.StateActive)
		conn.note(conn.underWay.Load(), &http.Request{Method: "GET", RequestURI: "/" + strconv.FormatInt(i, 10)})
		conn.SetState(http.StateIdle)
	}
	stop.Store(true)
	<-stopped
}

func TestStatesMayBeReportedAtOnce(t *testing.T) {
	ctl := newController(t)
	for range 5000 {
		a, b := new(Connection), new(Connection)
		a.Open(ctl, nil)
		b.Open(ctl, nil)
		var states sync.WaitGroup
		for range 3 {
			states.Go(func() { a.SetState(http.StateActive) })
		}
		states.Wait()
		states.Go(func() { a.SetState(http.StateIdle) })
		states.Go(func() {
			a.SetState(http.StateClosed)
			b.SetState(http.StateActive) // with what a has given back
		})
		states.Wait()
		b.SetState(http.StateClosed)
		if sum := ctl.counters.Sum(); sum.Active != 0 || a.shard().Kept.Load() != 0 || b.shard().Kept.Load() != 0 {
			t.Fatalf("%d are active, %d and %d keep their notes", sum.Active, a.shard().Kept.Load(), b.shard().Kept.Load())
		}
	}
}

func TestIdleConnectionsDoNotKeepLongTargets(t *testing.T) {
	ctl := newController(t)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	all := make([]Connection, 100)
	for i := range all {
		all[i].Open(ctl, nil)
		all[i].SetState(http.StateActive)
		all[i].note(all[i].underWay.Load(), &http.Request{Method: "GET", RequestURI: "/" + strings.Repeat("x", 1<<20)})
		all[i].SetState(http.StateIdle)
	}
	if grown := int64(heap()) - int64(before); grown > 10<<20 {
		t.Errorf("%d idle connections hold %d MB", len(all), grown>>20)
	}
	runtime.KeepAlive(all)
}

func TestConnectionsListsThoseUnderWayFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, OnStatus(http.StatusTeapot))
		var all []*Connection
		for range 4 {
			conn := new(Connection)
			conn.Open(ctl, addressed{})
			all = append(all, conn)
			time.Sleep(time.Second)
		}
		remove := ctl.ListConnections(slices.Values(all))
		exchange(ctl, requestOn(all[1], "/reports?secret=1"), respond(http.StatusTeapot))
		all[2].SetState(http.StateActive)
		all[2].SetState(http.StateHijacked)
		all[3].Gone(HowClient)
		const remote = "192.0.2.1:4711"
		want := []ConnectionStat{
			{ID: 2, Remote: remote, Protocol: "1.1", State: "active", Age: 3 * time.Second, Requests: 1, Route: "GET /reports", Reason: ReasonStatus},
			{ID: 3, Remote: remote, Protocol: "unknown", State: "hijacked", Age: 2 * time.Second},
			{ID: 1, Remote: remote, Protocol: "unknown", State: "idle", Age: 4 * time.Second},
		}
		if got := ctl.Connections(10); !slices.Equal(got, want) {
			t.Errorf("got\n%+v\nwant\n%+v", got, want)
		}
		if got := ctl.Connections(2); !slices.Equal(got, want[:2]) {
			t.Errorf("at most two: %+v", got)
		}
		remove()
		if got := ctl.Connections(-1); len(got) != 0 {
			t.Errorf("of no server: %+v", got)
		}
	})
}

var snakeCase = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

func TestStatsAreJSONInSnakeCase(t *testing.T) {
	never := func(Snapshot) (float64, error) { return 0, nil }
	ctl := newController(t, OnRoutes("/login"), OnLoad(Signal{Name: "signal", Hard: 1, Read: never}), OnMatch("Not_a_Key", func(*http.Request) bool { return false }))
	ctl.Drain()
	ctl.DrainBegins(time.Now())
	text, err := json.Marshal(ctl.Stats())
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	if want := reflect.TypeFor[Stats]().NumField(); len(fields) != want {
		t.Errorf("%d fields, Stats has %d: %s", len(fields), want, text)
	}
	for _, values := range []string{"closes", "announcements", "opened", "ended"} {
		delete(fields, values) // their keys are not names of ours
	}
	var check func(path string, value any)
	check = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, field := range value {
				if !snakeCase.MatchString(name) {
					t.Errorf("%s has a field %q", path, name)
				}
				check(path+"."+name, field)
			}
		case []any:
			for _, element := range value {
				check(path, element)
			}
		}
	}
	check("Stats", fields)
}

func ExampleController_Observe() {
	ctl, err := New()
	if err != nil {
		panic(err)
	}
	told := make(chan struct{})
	stop := ctl.Observe(func(e Event) {
		fmt.Println(e.Kind)
		close(told)
	})
	defer stop()
	ctl.Drain()
	<-told
	// Output: drain
}
