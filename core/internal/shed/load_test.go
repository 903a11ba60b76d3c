package shed

import "testing"

// sampled lets a load of 100 connections last from a moment on, and returns the
// next moment.
func sampled(l *Load, from, duration int64, pressure float64) int64 {
	now := from
	for ; now < from+duration; now += l.Interval() {
		l.Sample(now, pressure, 100)
	}
	return now
}

func newLoad() *Load {
	l := new(Load)
	l.Init(10)
	return l
}

func TestTheShareFollowsThePressureSlowlyUpAndAtOnceToZero(t *testing.T) {
	l := newLoad()
	now := sampled(l, 1, second, 0.5)
	if got := l.Share(now); got < 0.28 || got > 0.33 {
		t.Errorf("a share of %v after one second, want 63 %% of 0.5", got)
	}
	now = sampled(l, now, 10*second, 0.5)
	if got := l.Share(now); got < 0.499 || got > 0.5 {
		t.Errorf("a share of %v after ten seconds", got)
	}
	now = sampled(l, now, 10*second, 1e9)
	if got := l.Share(now); got != maxLoadShare {
		t.Errorf("a share of %v at the highest pressure", got)
	}
	now = sampled(l, now, l.Interval(), -3)
	if got := l.Share(now); got != 0 {
		t.Errorf("a share of %v without pressure", got)
	}
}

func TestAShareThatNobodySampledForASecondIsNone(t *testing.T) {
	l := newLoad()
	now := sampled(l, 1, 10*second, 1)
	if l.Share(now+second/2) == 0 || l.Share(now+second+1) != 0 {
		t.Errorf("shares of %v and %v", l.Share(now+second/2), l.Share(now+second+1))
	}
}

func TestWhoIsInTheShareGoesUnlessItIsYoung(t *testing.T) {
	l := newLoad()
	now := sampled(l, 1, 30*second, 0.5)
	const low, high = 1 << 30, 3 << 30
	for _, c := range []struct {
		name   string
		lot    Lot
		opened int64
		want   bool
	}{
		{"below the share", low, 1, true},
		{"above the share", high, 1, false},
		{"below it, and young", low, now - second + 1, false},
		{"below it, and of unknown age", low, LongAgo, true},
	} {
		if got := l.Goes(c.lot, c.opened, now); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestEpochsPassOnlyWithEvents(t *testing.T) {
	l := newLoad()
	now := sampled(l, 1, 5*second, 0.5)
	sampled(l, now, 5*60*second, 0)
	if got := l.epoch.Load(); got != 1 {
		t.Errorf("%d epochs after one event and five minutes", got)
	}
	if own := Lot(7); l.lotOf(own) == own {
		t.Error("the lot is that of the last event")
	}
}

func TestClosesForLoadAreHalvedWhereTheyDoNotHelpAndFreeAfterwards(t *testing.T) {
	l, budget := newLoad(), new(Budget)
	budget.Init(10, 20)
	now := int64(1)
	for range 1200 {
		now = sampled(l, now, l.Interval(), 0.8)
		l.Take(now, LongAgo, budget)
	}
	if got := l.Rate(); got != leastLoadRate {
		t.Errorf("a rate of %v after two minutes of the same pressure", got)
	}
	sampled(l, now, 11*second, 0)
	if got := l.Rate(); got != 10 {
		t.Errorf("a rate of %v after the load has gone", got)
	}
}

func TestARefusalOfTheBudgetCostsTheRestraintNothing(t *testing.T) {
	l, budget := newLoad(), new(Budget)
	budget.Init(1, 1)
	now := sampled(l, 1, second, 0.8)
	budget.Take(now)
	if l.Take(now, LongAgo, budget) {
		t.Fatal("more than the budget")
	}
	if l.restraint.made.Load() != 0 || l.restraint.round.Load() != farOff {
		t.Error("the restraint counts a close that was not made")
	}
}
