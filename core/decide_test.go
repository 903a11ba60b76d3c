package core

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func always(*http.Request) bool { return true }

// reasonOf runs one exchange and returns why the connection ends, "" if not.
func reasonOf(t *testing.T, c *Controller, conn *Connection, handler func(http.ResponseWriter, *http.Request)) Reason {
	t.Helper()
	w := exchange(c, requestOn(conn, "/login"), handler)
	reason, marked := conn.Mark()
	if marked != w.announces() {
		t.Errorf("marked %v (%s), and %v was sent", marked, reason, w.sent)
	}
	return reason
}

func TestTheFirstRuleInOrderWinsAndLaterOnesAreNotAsked(t *testing.T) {
	// Each step takes away the rule that won the step before.
	rules := []struct {
		reason  Reason
		options []Option
		prepare func(*Controller)
		handler func(http.ResponseWriter, *http.Request)
	}{
		{reason: ReasonDrain, prepare: (*Controller).Drain},
		{reason: ReasonHandler, handler: func(_ http.ResponseWriter, r *http.Request) { CloseAfter(r.Context(), ReasonHandler) }},
		{reason: ReasonRoute, options: []Option{OnRoutes("/login")}},
		{reason: "legacy", options: []Option{OnMatch("legacy", always)}},
		{reason: ReasonStatus, options: []Option{OnStatus(200)}},
		{reason: ReasonAge, options: []Option{OnAge(time.Millisecond)}},
		{reason: ReasonRequests, options: []Option{OnRequestCount(1)}},
		{reason: ReasonLoad, options: []Option{OnLoad(Signal{"full", 1, 2, func(Snapshot) (float64, error) { return 3, nil }})}},
	}
	for first := range rules {
		t.Run(string(rules[first].reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				options := []Option{quiet(), Budget(1e-3, 1)}
				for _, rule := range rules[first:] {
					options = append(options, rule.options...)
				}
				c, err := New(options...)
				if err != nil {
					t.Fatal(err)
				}
				conn := openConnection(c)
				conn.lot = 0
				time.Sleep(time.Minute)
				handler := nothing
				for _, rule := range rules[first:] {
					if rule.prepare != nil {
						rule.prepare(c)
					}
					if rule.handler != nil {
						handler = rule.handler
					}
				}
				if got := reasonOf(t, c, conn, handler); got != rules[first].reason {
					t.Fatalf("ended for %q", got)
				}
				s := c.Stats()
				for reason, n := range s.Closes {
					if want := reason == rules[first].reason; (n == 1) != want || n > 1 {
						t.Errorf("%d closes for %q", n, reason)
					}
				}
				voluntary := first >= 5
				if c.budget.Take(c.now()) == voluntary {
					t.Errorf("the budget was used: %v, want %v", !voluntary, voluntary)
				}
			})
		})
	}
}

func TestExemptRoutesAreNotClosedByAgeCountOrLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Exempt("/login"), OnAge(time.Millisecond), OnRequestCount(1),
			OnLoad(Signal{"full", 1, 2, func(Snapshot) (float64, error) { return 3, nil }}))
		conn := openConnection(c)
		conn.lot = 0
		time.Sleep(time.Minute)
		if got := reasonOf(t, c, conn, nothing); got != "" {
			t.Errorf("ended for %q", got)
		}
		if w := exchange(c, requestOn(conn, "/other"), nothing); !w.announces() {
			t.Error("another route keeps the connection")
		}
	})
}

func TestExemptRoutesAreClosedByADrain(t *testing.T) {
	c := newController(t, Exempt("/login"))
	c.Drain()
	if got := reasonOf(t, c, openConnection(c), nothing); got != ReasonDrain {
		t.Errorf("ended for %q", got)
	}
}

func TestAgeAndCountAreJitteredPerConnection(t *testing.T) {
	c := newController(t, OnAge(time.Hour), OnRequestCount(1000))
	const n = 10_000
	ages, counts := map[int64]bool{}, map[uint32]bool{}
	for range n {
		conn := openConnection(c)
		age, count := conn.ageLimit(), conn.requestLimit()
		if d := time.Duration(age); d < 54*time.Minute || d > 66*time.Minute {
			t.Fatalf("an age limit of %v", d)
		}
		if count < 900 || count > 1100 {
			t.Fatalf("a limit of %d requests", count)
		}
		ages[age], counts[count] = true, true
	}
	if len(ages) < n*9/10 || len(counts) < 190 {
		t.Errorf("%d different ages, %d different counts", len(ages), len(counts))
	}
	if first, second := openConnection(c), openConnection(c); first.ageLimit() == second.ageLimit() {
		t.Error("connections opened together end together")
	}
}

func TestACountOfOneAllowsNoSecondRequest(t *testing.T) {
	c := newController(t, OnRequestCount(1))
	if got := reasonOf(t, c, openConnection(c), nothing); got != ReasonRequests {
		t.Errorf("ended for %q", got)
	}
}

func TestTheBudgetCapsVoluntaryClosesAndCountsWhatItHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, OnRequestCount(1), Budget(2, 3))
		closed := func(n int) (closed int) {
			for range n {
				if reasonOf(t, c, openConnection(c), nothing) != "" {
					closed++
				}
			}
			return closed
		}
		if n := closed(10); n != 3 {
			t.Errorf("%d closes in a burst of 3", n)
		}
		if n := c.Stats().HeldBack; n != 7 {
			t.Errorf("%d held back of 7", n)
		}
		time.Sleep(time.Second)
		if n := closed(10); n != 2 {
			t.Errorf("%d closes after a second at 2 per second", n)
		}
		time.Sleep(time.Hour)
		if n := closed(10); n != 3 {
			t.Errorf("%d closes after an hour with a burst of 3", n)
		}
	})
}

func TestAHeldBackConnectionIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, OnRequestCount(1), Budget(1, 1))
		first, second := openConnection(c), openConnection(c)
		reasonOf(t, c, first, nothing)
		if got := reasonOf(t, c, second, nothing); got != "" {
			t.Fatalf("ended for %q beyond the budget", got)
		}
		time.Sleep(time.Second)
		if got := reasonOf(t, c, second, nothing); got != ReasonRequests {
			t.Errorf("ended for %q", got)
		}
	})
}

func TestDrainRouteClientAndStatusNeedNoBudget(t *testing.T) {
	c := newController(t, Budget(1e-6, 1), OnRoutes("/login"))
	for range 50 {
		if got := reasonOf(t, c, openConnection(c), nothing); got != ReasonRoute {
			t.Fatalf("ended for %q", got)
		}
	}
	if n := c.Stats().HeldBack; n != 0 {
		t.Errorf("%d held back", n)
	}
}

func TestAPanickingMatchCountsAsFalse(t *testing.T) {
	c := newController(t, OnMatch(ReasonClient, func(*http.Request) bool { panic("no") }), OnStatus(200))
	if got := reasonOf(t, c, openConnection(c), nothing); got != ReasonStatus {
		t.Errorf("ended for %q", got)
	}
}

func TestReasonsOfCloseAfterAreBounded(t *testing.T) {
	for reason, want := range map[Reason]Reason{
		"legacy":      "legacy",
		"made up":     ReasonHandler,
		"":            ReasonHandler,
		ReasonDrain:   ReasonHandler,
		ReasonHandler: ReasonHandler,
	} {
		c := newController(t, OnMatch("legacy", func(*http.Request) bool { return false }))
		got := reasonOf(t, c, openConnection(c), func(_ http.ResponseWriter, r *http.Request) {
			if !CloseAfter(r.Context(), reason) {
				t.Error("CloseAfter says no")
			}
		})
		if got != want || len(c.Stats().Closes) != len(builtinReasons)+1 {
			t.Errorf("CloseAfter(%q) counted as %q, want %q; %v", reason, got, want, c.Stats().Closes)
		}
	}
}

func TestWithoutARecordDrainRoutesStatusClientAndHandlerStillWork(t *testing.T) {
	for _, c := range []struct {
		reason  Reason
		option  Option
		prepare func(*Controller)
		handler func(http.ResponseWriter, *http.Request)
	}{
		{ReasonDrain, quiet(), (*Controller).Drain, nothing},
		{ReasonRoute, OnRoutes("/login"), nil, nothing},
		{ReasonStatus, OnStatus(200), nil, nothing},
		{ReasonClient, OnMatch(ReasonClient, always), nil, nothing},
		{ReasonHandler, quiet(), nil, func(_ http.ResponseWriter, r *http.Request) { CloseAfter(r.Context(), ReasonHandler) }},
	} {
		ctl := newController(t, c.option)
		if c.prepare != nil {
			c.prepare(ctl)
		}
		w := exchange(ctl, requestOn(nil, "/login"), c.handler)
		s := ctl.Stats()
		if !w.announces() || s.Closes[c.reason] != 1 || s.Untracked != 1 || s.Exchanges != 1 || s.InFlight != 0 {
			t.Errorf("%s: sent %v, stats %+v", c.reason, w.sent, s)
		}
	}
}
