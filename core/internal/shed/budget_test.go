package shed

import (
	"math"
	"testing"
	"time"
)

const second = int64(time.Second)

func TestTheBudgetTakesABurstAndThenItsRate(t *testing.T) {
	var b Budget
	b.Init(2, 3)
	for _, step := range []struct {
		at   int64
		want bool
	}{
		{1, true}, {1, true}, {1, true}, {1, false},
		{1 + second/2, true}, {1 + second/2, false},
		{1 + second, true}, {1 + 2*second, true}, {1 + 2*second, true}, {1 + 2*second, false},
		{3600 * second, true}, {3600 * second, true}, {3600 * second, true}, {3600 * second, false},
	} {
		if got := b.Take(step.at); got != step.want {
			t.Errorf("at %v: %v", time.Duration(step.at), got)
		}
	}
}

func TestWhatIsGivenBackCanBeTakenAgain(t *testing.T) {
	var b Budget
	b.Init(1, 1)
	if !b.Take(1) {
		t.Fatal("nothing to take")
	}
	b.GiveBack()
	if !b.Take(1) {
		t.Error("what was given back cannot be taken")
	}
}

// Two connections read the clock one after the other, and take in the other order.
func TestAnInfiniteBudgetTakesAlsoWithAClockThatWasReadEarlier(t *testing.T) {
	var b Budget
	b.Init(math.Inf(1), 1)
	if !b.Take(2) || !b.Take(1) {
		t.Error("an infinite budget refuses who read the clock before another one")
	}
	b.GiveBack()
	if !b.Take(1) {
		t.Error("… and who comes after a close was given back")
	}
}

func TestABudgetMayBeInfiniteOrTiny(t *testing.T) {
	var b Budget
	b.Init(math.Inf(1), 1)
	for range 1000 {
		if !b.Take(1) {
			t.Fatal("an infinite budget is used up")
		}
	}
	b = Budget{}
	b.Init(math.SmallestNonzeroFloat64, 1)
	if !b.Take(1) || b.Take(math.MaxInt64/8) {
		t.Error("a tiny budget allows none or two")
	}
}
