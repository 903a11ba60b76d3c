// Package counters counts what changes with each request and connection.
package counters

import (
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync/atomic"

	"github.com/politeclose/politeclose/core/internal/shed"
)

// Counters count in shards, so that cores do not wait for one another's cache
// line. All methods are safe for concurrent use, after Init.
type Counters struct{ shards []Shard }

// Shard is a part of the counters.
type Shard struct {
	Begun, Ended                    atomic.Uint64 // exchanges; the latter also those that may last as long as their connection
	Open, Leaving, Active, Hijacked atomic.Int64  // connections; Leaving is those of Open and Hijacked that have to go
	Kept                            atomic.Int64  // notes of a request that stay with their connection
	_                               [128 - 7*8]byte
}

// KeepsOne adds one to Kept, unless there are as many as may be, and reports whether
// it has.
func (s *Shard) KeepsOne(most int64) bool {
	if s.Kept.Add(1) <= most {
		return true
	}
	s.Kept.Add(-1)
	return false
}

// Init must be called before anything else.
func (c *Counters) Init() {
	c.shards = make([]Shard, 1<<bits.Len(uint(runtime.GOMAXPROCS(0)-1)))
}

// Of returns the shard of a connection with this lot.
func (c *Counters) Of(lot shed.Lot) *Shard { return &c.shards[uint32(lot)&uint32(len(c.shards)-1)] }

// Any returns the shard for what has no connection.
func (c *Counters) Any() *Shard { return c.Of(shed.Lot(rand.Uint32())) }

// Sum is the sums of all shards.
type Sum struct {
	Begun, Ended                    uint64
	Open, Leaving, Active, Hijacked int64
}

// InFlight is never negative, whatever came between two of the readings.
func (n Sum) InFlight() int { return int(max(0, int64(n.Begun-n.Ended))) }

// Sum reads all shards one after another.
func (c *Counters) Sum() (sum Sum) {
	for i := range c.shards {
		// Ended before begun, so that no exchange ends before it has begun.
		sum.Ended += c.shards[i].Ended.Load()
	}
	for i := range c.shards {
		shard := &c.shards[i]
		sum.Begun += shard.Begun.Load()
		sum.Open += shard.Open.Load()
		sum.Leaving += shard.Leaving.Load()
		sum.Active += shard.Active.Load()
		sum.Hijacked += shard.Hijacked.Load()
	}
	return sum
}

// Staying is how many connections there are, hijacked ones included, that have
// not been told to go.
func (c *Counters) Staying() int {
	sum := c.Sum()
	return int(sum.Open + sum.Hijacked - sum.Leaving)
}
