package core

import (
	"errors"
	"math/rand/v2"
	"time"
)

// simulation has what a Controller takes from the machine otherwise.
type simulation struct {
	now  func() time.Duration
	seed uint64
}

// Simulated makes time and chance the caller's, so that a simulation that drives
// Controllers gives the same result each time: now returns the time since any
// fixed moment and must not go back, and everything random comes from seed. It is
// not for servers: what runs by timers, such as [Leaving] and
// [Controller.DrainStarted], keeps to the real time, and OnExcess's function is
// waited for.
func Simulated(now func() time.Duration, seed uint64) Option {
	return func(c *config) error {
		if now == nil {
			return errors.New("Simulated: the clock function is nil")
		}
		c.simulated = &simulation{now, seed}
		return nil
	}
}

// firstLot is where the lots begin.
func (c *config) firstLot() uint32 {
	if c.simulated != nil {
		return rand.New(rand.NewPCG(c.simulated.seed, 0)).Uint32()
	}
	return rand.Uint32()
}
