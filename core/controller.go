package core

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/counters"
	"github.com/politeclose/politeclose/core/internal/drainflag"
	"github.com/politeclose/politeclose/core/internal/leaving"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// Controller decides which connections must end. One Controller may serve
// several servers. Make it with [New]; all methods are safe for concurrent use.
// It runs no goroutine, except for a moment to read a flag or a signal. A nil
// Controller decides nothing in Begin and in the adapters' middleware; its other
// methods must not be called.
type Controller struct {
	// What each exchange reads comes first and close together: when it comes, the
	// caches are full of the kernel's work for the request.
	counters counters.Counters
	rules    ruleSet
	drain    drainflag.Flag
	start    time.Time
	load     loadRule
	excess   excessRule
	config

	lots      shed.Lots
	budget    shed.Budget
	leavers   leaving.Channels
	observers observers
	progress  drainProgress
	lists     connectionLists

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
}

// New returns a Controller with the rules that the options give, or an error
// that names the first option with a bad argument, the value, and what is
// allowed. Without options a connection ends for a drain, at a handler's word
// and at the client's.
func New(opts ...Option) (*Controller, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	c := &Controller{
		rules:  cfg.rules(),
		start:  time.Now(),
		config: *cfg,
	}
	c.counters.Init()
	c.lots.Init(cfg.firstLot())
	c.budget.Init(cfg.perSecond, cfg.burst)
	if err := c.load.init(cfg, c.snapshot); err != nil {
		return nil, fmt.Errorf("politeclose: %w", err)
	}
	c.excess.init(cfg, c.counters.Staying)
	c.drain.Init(cfg.flags, c.now, cfg.logger)
	c.leavers.Init(&c.drain, c.spread, c.now, uint32(drainIndex))
	c.closes.init(len(cfg.reasons))
	c.observers.init(c)
	return c, nil
}

// now is the time since just before New on the monotonic clock, in nanoseconds,
// and never 0: a wall clock that jumps changes nothing.
func (c *Controller) now() int64 {
	if c.simulated != nil {
		return int64(c.simulated.now()) + 1
	}
	return int64(time.Since(c.start)) + 1
}

// snapshot is what signals are told.
func (c *Controller) snapshot() Snapshot {
	sum := c.counters.Sum()
	return Snapshot{InFlight: sum.InFlight(), Connections: int(sum.Open)}
}

// shard returns the connection's part of the counters.
func (c *Controller) shard(conn *Connection) *counters.Shard {
	if conn == nil {
		return c.counters.Any()
	}
	return c.counters.Of(conn.lot)
}

func (c *Controller) reason(i reasonIndex) Reason { return c.reasons[i-1] }
