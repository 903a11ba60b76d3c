package core

import (
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/politeclose/politeclose/core/internal/shed"
)

// counters count what every request changes, in shards.
type counters struct{ shards []shard }

// shard is a part of the counters that requests change, so that cores do not
// wait for one another's cache line.
type shard struct {
	begun, ended                    atomic.Uint64
	open, leaving, active, hijacked atomic.Int64
	_                               [128 - 6*8]byte
}

func (c *counters) init() {
	c.shards = make([]shard, 1<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)))
}

// of returns the shard of a connection with this lot.
func (c *counters) of(lot shed.Lot) *shard { return &c.shards[uint32(lot)&uint32(len(c.shards)-1)] }

// any returns the shard for what has no connection.
func (c *counters) any() *shard { return c.of(shed.Lot(rand.Uint32())) }

// counts are the sums of all shards.
type counts struct {
	begun, ended                    uint64
	open, leaving, active, hijacked int64
}

// inFlight is never negative, whatever came between two of the readings.
func (n counts) inFlight() int { return int(max(0, int64(n.begun-n.ended))) }

func (c *counters) sum() (sum counts) {
	for i := range c.shards {
		// Ended before begun, so that no exchange ends before it has begun.
		sum.ended += c.shards[i].ended.Load()
	}
	for i := range c.shards {
		shard := &c.shards[i]
		sum.begun += shard.begun.Load()
		sum.open += shard.open.Load()
		sum.leaving += shard.leaving.Load()
		sum.active += shard.active.Load()
		sum.hijacked += shard.hijacked.Load()
	}
	return sum
}

// staying is how many connections are open and have not been told to go.
func (c *counters) staying() int {
	sum := c.sum()
	return int(sum.open - sum.leaving)
}

func (c *counters) snapshot() Snapshot {
	sum := c.sum()
	return Snapshot{InFlight: sum.inFlight(), Connections: int(sum.open)}
}
