package core

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/counters"
	"github.com/politeclose/politeclose/core/internal/drainflag"
	"github.com/politeclose/politeclose/core/internal/leaving"
	"github.com/politeclose/politeclose/core/internal/pattern"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// Controller decides which connections must end. One Controller may serve
// several servers. Make it with [New]; all methods are safe for concurrent use.
// It runs no goroutine, except for a moment to read a flag or a signal. A nil
// Controller decides nothing in Begin and in the adapters' middleware; its
// other methods must not be called.
type Controller struct {
	// What each exchange reads comes first and close together: when it comes,
	// the caches are full of the kernel's work for the request.
	counters counters.Counters
	rules    ruleSet
	atPaths  pattern.Glance // of OnRoutes and of Exempt
	atRoutes pattern.Glance // likewise
	drain    drainflag.Flag
	start    time.Time
	load     loadRule
	excess   excessRule
	config

	lots    shed.Lots
	budget  shed.Budget
	leaving leaving.Channels

	telling     atomic.Bool  // the timer of tellUnasked runs
	askAgeAgain atomic.Int64 // when the budget may allow a close for age again
	observers   observers
	progress    drainProgress
	lists       connectionLists

	connections        atomic.Uint64 // the newest one's id
	opened             [len(protocolNames)]atomic.Uint64
	ended              ends
	closes             closes
	heldBack           atomic.Uint64
	clientInitiated    atomic.Uint64
	inputAfterAnnounce atomic.Uint64
	untracked          atomic.Uint64
	untrackedSaid      sync.Once
	foreignSaid        sync.Once
	unusedSaid         sync.Once // by Drained
	impaired           impairments
}

// simulation has what a Controller takes from the machine otherwise.
type simulation struct {
	now  func() time.Duration
	seed uint64
}

// Simulated makes time and chance the caller's, so that a simulation that
// drives Controllers gives the same result each time: now returns the time
// since any fixed moment and must not go back, and everything random comes from
// seed. It is not for servers: what runs by timers, such as [Leaving] and
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

// now is the time since just before New on the monotonic clock, in nanoseconds,
// and never 0: a wall clock that jumps changes nothing.
func (c *Controller) now() int64 {
	if c.simulated != nil {
		return int64(c.simulated.now()) + 1
	}
	return int64(time.Since(c.start)) + 1
}

// drainSince returns when the drain began, 0 if there is none. It does not read
// the flags.
func (c *Controller) drainSince() int64 { return c.drain.Since() }

// drainShare returns the share of the connections that has to go by now.
func (c *Controller) drainShare(now int64) float64 {
	since := c.drainSince()
	if since == 0 {
		return 0
	}
	return c.schedule.Share(since, now)
}

func (c *Controller) reason(i reasonIndex) Reason { return c.reasons[i-1] }

// snapshot is what signals are told.
func (c *Controller) snapshot() Snapshot {
	sum := c.counters.Sum()
	return Snapshot{InFlight: sum.InFlight(), Connections: int(sum.Open)}
}
