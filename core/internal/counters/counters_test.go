package counters

import (
	"sync"
	"testing"

	"github.com/politeclose/politeclose/core/internal/shed"
)

func TestTheSumsAreThoseOfAllShards(t *testing.T) {
	var c Counters
	c.Init()
	var all sync.WaitGroup
	for n := range uint32(100) {
		all.Go(func() {
			s := c.Of(shed.Lot(n))
			s.Begun.Add(3)
			s.Ended.Add(1)
			s.Open.Add(2)
			s.Leaving.Add(1)
			c.Any().Begun.Add(1)
		})
	}
	all.Wait()
	sum := c.Sum()
	if sum.Begun != 400 || sum.Ended != 100 || sum.InFlight() != 300 || sum.Open != 200 || c.Staying() != 100 {
		t.Errorf("%+v", sum)
	}
}

func TestInFlightIsNeverNegative(t *testing.T) {
	if n := (Sum{Begun: 1, Ended: 2}).InFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}
