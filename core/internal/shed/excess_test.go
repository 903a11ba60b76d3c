package shed

import (
	"math"
	"testing"
	"time"
)

// crowd is the connections of a replica. Each has a request every five seconds.
type crowd struct {
	t      *testing.T
	excess Excess
	budget Budget
	lots   Lots
	now    int64
	open   []member
	share  int
	// returns is called for each connection that was closed and says whether it
	// comes back.
	returns func() bool
}

type member struct {
	lot    Lot
	opened int64
}

func newCrowd(t *testing.T, open, share int) *crowd {
	c := &crowd{t: t, now: 1, share: share, returns: func() bool { return false }}
	c.excess.Init()
	c.lots.Init(1)
	c.budget.Init(math.Inf(1), 1)
	c.join(open)
	c.now += int64(time.Hour)
	return c
}

func (c *crowd) join(n int) {
	for range n {
		c.open = append(c.open, member{c.lots.Draw(), c.now})
	}
}

// run lets d pass and returns how many were closed in each second.
func (c *crowd) run(d time.Duration) (closed []int) {
	const each = 5
	for range int(d / time.Second) {
		c.excess.Sample(c.now, len(c.open), c.share)
		n, back := 0, 0
		stay := c.open[:0]
		for _, m := range c.open {
			asks := int64(m.lot.Other(99))%each == c.now/second%each
			if asks && c.excess.Goes(m.lot, m.opened, c.now) && c.excess.Take(c.now, &c.budget) {
				n++
				if c.returns() {
					back++
				}
				continue
			}
			stay = append(stay, m)
		}
		c.open = stay
		c.join(back)
		c.now += second
		closed = append(closed, n)
	}
	return closed
}

func sum(counts []int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func TestAnExcessIsClosedOverHalfAMinuteAndNoMore(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	closed := c.run(2 * time.Minute)
	if got := sum(closed); got != 250 {
		t.Errorf("%d of 250 closed", got)
	}
	for second, n := range closed {
		if n > 20 {
			t.Errorf("%d closed in second %d, want about 8", n, second)
		}
	}
	if got := sum(closed[:30]); got < 170 {
		t.Errorf("%d of 250 closed in half a minute", got)
	}
	if got := sum(closed[60:]); got != 0 {
		t.Errorf("%d closed after a minute", got)
	}
}

func TestNaturalScatterIsNoExcess(t *testing.T) {
	for _, test := range []struct{ share, open int }{
		{1000, 1063}, {100, 120}, {10, 16}, {1, 3}, {10_000, 10_200},
	} {
		if got := sum(newCrowd(t, test.open, test.share).run(5 * time.Minute)); got != 0 {
			t.Errorf("a share of %d and %d open: %d closed", test.share, test.open, got)
		}
		if got := sum(newCrowd(t, test.open+1, test.share).run(5 * time.Minute)); got != test.open+1-test.share {
			t.Errorf("a share of %d and %d open: %d closed", test.share, test.open+1, got)
		}
	}
}

func TestNoRoundBeginsForTheLastFew(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	first := sum(c.run(30 * time.Second))
	if left := 250 - first; left < 0 || left > 10 {
		t.Fatalf("a round left %d of 250", left)
	}
	few := 1010 - len(c.open)
	c.join(few)
	if got := sum(c.run(20 * time.Second)); got != 0 {
		t.Errorf("%d closed of 1,010 with a share of 1,000", got)
	}
	c.join(1)
	if got := sum(c.run(40 * time.Second)); got == 0 || got > 11 {
		t.Errorf("%d closed of 1,011, soon after others", got)
	}
	c.run(time.Minute)
	c.join(1063 - len(c.open))
	if got := sum(c.run(time.Minute)); got != 0 {
		t.Errorf("%d closed of 1,063, long after others", got)
	}
	c.join(1)
	if got := sum(c.run(time.Minute)); got < 64-10 || got > 64 {
		t.Errorf("%d closed of 1,064", got)
	}
}

func TestARoundLeavesNoMoreThanTheLastFew(t *testing.T) {
	for start := range uint32(100) {
		c := newCrowd(t, 0, 375)
		c.lots.Init(start << 25)
		c.join(500)
		c.now += int64(time.Minute)
		c.run(30 * time.Second)
		if left := len(c.open) - 375; left > 6 {
			t.Errorf("a round left %d of 125", left)
		}
	}
}

func TestAShareThatIsTooLargeForAWhileDoesNotEndIt(t *testing.T) {
	for _, test := range []struct {
		while  time.Duration
		goesOn bool
	}{
		{5 * time.Second, true}, {29 * time.Second, true}, {32 * time.Second, false},
	} {
		c := newCrowd(t, 1250, 1000)
		first := sum(c.run(27 * time.Second))
		if left := 1250 - first; left <= 1000 || left > 1060 {
			t.Fatalf("%d are left", left)
		}
		c.share = 1060
		if got := sum(c.run(test.while)); got != 0 {
			t.Errorf("%d closed below the share", got)
		}
		c.share = 1000
		want := 250 - first
		if !test.goesOn {
			want = 0
		}
		if got := sum(c.run(3 * time.Minute)); got != want {
			t.Errorf("after %v at a share of 1,060: %d closed at one of 1,000, want %d", test.while, got, want)
		}
	}
}

// While connections are on their way the share is known to within a few.
func TestTheFirstRoundMakesItsPlanWhereTheShareLooksALittleLarger(t *testing.T) {
	for _, from := range []time.Duration{5 * time.Second, 20 * time.Second, 28 * time.Second} {
		c := newCrowd(t, 1250, 1000)
		c.run(from)
		c.share = 1015
		c.run(35*time.Second - from)
		c.share = 1000
		if left := len(c.open) - 1000; left > 10 || left < 0 {
			t.Errorf("at 1,015 from %v on: %d of 250 are left", from, left)
		}
		if got := sum(c.run(2 * time.Minute)); got != 0 {
			t.Errorf("at 1,015 from %v on: %d closed afterwards", from, got)
		}
	}
}

func TestTheFirstRoundEndsWhereTheShareHasBecomeLarger(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	c.run(20 * time.Second)
	c.share = 1100
	before := len(c.open) // below it
	if got := sum(c.run(time.Minute)); before >= 1090 || got != 0 {
		t.Errorf("%d closed of %d with a share of 1,100", got, before)
	}
}

func TestALaterRoundEndsAtTheShare(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	c.run(31 * time.Second)
	c.share = 900
	c.run(20 * time.Second)
	c.share = 915
	c.run(time.Minute)
	if open := len(c.open); open < 915 || open > 925 {
		t.Errorf("%d are left with a share of 915", open)
	}
}

func TestAnUnknownShareClosesNobody(t *testing.T) {
	c := newCrowd(t, 1250, 0)
	if got := sum(c.run(time.Minute)); got != 0 {
		t.Errorf("%d closed", got)
	}
	c.share = 1000
	first := sum(c.run(10 * time.Second))
	if first == 0 {
		t.Error("nobody closed once it is known")
	}
	c.share = -1
	if got := sum(c.run(time.Minute)); got != 0 {
		t.Errorf("%d closed once it is unknown", got)
	}
	c.share = 1000
	if got := sum(c.run(2 * time.Minute)); got != 250-first {
		t.Errorf("%d closed once it is known again, want %d", got, 250-first)
	}
}

// One poll that nobody answers leaves the share unknown until the next one.
func TestARoundGoesOnWhenTheShareIsKnownAgain(t *testing.T) {
	for _, unknown := range []time.Duration{time.Second, 5 * time.Second, time.Minute} {
		c := newCrowd(t, 1250, 1000)
		c.run(15 * time.Second)
		c.share = 0
		if got := sum(c.run(unknown)); got != 0 {
			t.Errorf("unknown for %v: %d closed", unknown, got)
		}
		c.share = 1000
		closed := c.run(time.Minute)
		for second, n := range closed {
			if n > 20 {
				t.Errorf("unknown for %v: %d closed in second %d after it, want about 8", unknown, n, second)
			}
		}
		if left := len(c.open) + sum(closed[15:]) - 1000; left > 10 {
			t.Errorf("unknown for %v: %d were left when the rest of the half minute had passed", unknown, left)
		}
		if got := sum(closed[15:]); got > 0 {
			t.Errorf("unknown for %v: %d closed after that", unknown, got)
		}
	}
}

func TestARoundWaitsEachTimeTheShareIsNotKnown(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	for range 6 {
		c.share = 1000
		c.run(5 * time.Second)
		c.share = 0
		c.run(5 * time.Second)
	}
	if left := len(c.open) - 1000; left > 10 {
		t.Errorf("%d are left after half a minute in parts", left)
	}
	if n := c.excess.round.Load(); n != 1 {
		t.Errorf("%d rounds", n)
	}
}

func TestWithoutASampleNobodyGoesAfterThreeSeconds(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	c.run(10 * time.Second)
	goes := func(now int64) (n int) {
		for _, m := range c.open {
			if c.excess.Goes(m.lot, m.opened, now) {
				n++
			}
		}
		return n
	}
	last := c.now - second
	if goes(last) == 0 || goes(last+3*second) == 0 || goes(last+3*second+1) != 0 {
		t.Errorf("%d, %d and %d would go", goes(last), goes(last+3*second), goes(last+3*second+1))
	}
}

func TestNobodyGoesTwiceInARoundAndTheYoungStay(t *testing.T) {
	c := newCrowd(t, 2000, 1000)
	c.returns = func() bool { return true }
	c.run(29 * time.Second)
	for _, m := range c.open {
		if m.opened >= c.excess.began.Load() && c.excess.Goes(m.lot, m.opened, c.now) {
			t.Fatal("a connection that came in this round would go")
		}
	}
	c.excess.left.Store(1) // those who had asked were enough
	for age := range int64(3) {
		began := c.excess.began.Load()
		if c.excess.Goes(0, began-1, began-1+age*second/2) != (age == 2) {
			t.Errorf("a connection of %v goes or stays", time.Duration(age*second/2))
		}
	}
}

func TestWhereConnectionsComeBackItDiesOut(t *testing.T) {
	c := newCrowd(t, 150, 100)
	c.returns = func() bool { return true }
	// Each pause is twice as long as the one before: the try at the end of the
	// first hour is the seventh, and the next seven hours have three more.
	if got := sum(c.run(time.Hour)); got < 100 || got > 9*50 {
		t.Errorf("%d closed in the first hour", got)
	}
	if got := sum(c.run(7 * time.Hour)); got < 50 || got > 4*50 {
		t.Errorf("%d closed in the next seven hours", got)
	}
	if !c.excess.shedding {
		t.Fatal("the excess is gone")
	}
	// Once the excess has gone by itself it begins anew.
	c.share = 150
	c.run(time.Minute)
	c.share = 100
	if got := sum(c.run(time.Minute)); got < 30 {
		t.Errorf("%d closed in the first minute of another excess", got)
	}
}

func TestWhereOneInTenFindsAnotherReplicaItGoesOn(t *testing.T) {
	c := newCrowd(t, 1500, 1000)
	n := 0
	c.returns = func() bool { n++; return n%10 != 0 }
	closed := sum(c.run(30 * time.Minute))
	if got := len(c.open); got > 1010 {
		t.Errorf("%d are left after %d closes", got, closed)
	}
}

// TestWhileClientsArriveItGoesOn has as many come from elsewhere as are closed,
// as in a rolling restart, and a share that is not exact.
func TestWhileClientsArriveItGoesOn(t *testing.T) {
	for _, wrong := range []int{0, 120} {
		c := newCrowd(t, 1200, 1000)
		quiet, longest := 0, 0
		for second := range 20 * 60 {
			c.join(7)
			c.share = 1000 + wrong*(second/30%2)
			if sum(c.run(time.Second)) > 0 {
				quiet = 0
			} else {
				quiet++
			}
			longest = max(longest, quiet)
		}
		if longest > 30 {
			t.Errorf("with a share that is wrong by up to %d: nobody was closed for %d s", wrong, longest)
		}
		if open := len(c.open); open > 1500 {
			t.Errorf("with a share that is wrong by up to %d: %d are open", wrong, open)
		}
	}
}

func TestSlowClientsHaveTheirTurnToo(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	c.excess.yield = minYield // as after a round without a request
	closed := c.run(2 * time.Minute)
	if got := sum(closed); got != 250 {
		t.Errorf("%d of 250 closed", got)
	}
	if got := sum(closed[:10]); got > 100 {
		t.Errorf("%d closed in ten seconds: not spread over half a minute", got)
	}
}

func TestARefusalOfTheBudgetCostsTheRoundNothing(t *testing.T) {
	c := newCrowd(t, 1250, 1000)
	c.budget.Init(1, 1)
	if got := sum(c.run(time.Minute)); got < 55 || got > 61 {
		t.Errorf("%d closed in a minute with a budget of one per second", got)
	}
	if left := c.excess.left.Load(); left <= 0 {
		t.Errorf("%d are left of the round", left)
	}
}

func TestTheBusiestAreNotPreferred(t *testing.T) {
	var x Excess
	x.Init()
	now := int64(time.Hour)
	x.Sample(now, 1200, 1000)
	now += 14 * second
	x.Sample(now, 1200, 1000)
	// Half of the round has passed, and a tenth has had its turn.
	for place := range 100 {
		lot, wants := Lot(0), false
		for ; int(100*x.lotOf(lot).Float()) != place; lot++ {
		}
		for range 1000 {
			wants = wants || x.Goes(lot, 1, now)
		}
		if want := place <= 10; wants != want && place != 10 {
			t.Errorf("of a connection at %d %% that asks all the time: %v", place, wants)
		}
	}
}
