package shed

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// excessInterval is how long a sample of the excess stands, and excessStale
	// after how long without one nobody goes.
	excessInterval = int64(time.Second)
	excessStale    = 3 * excessInterval
	// excessRound is over how long an excess is spread.
	excessRound = int64(30 * time.Second)
	// scatter is how many times the square root of the share a replica may be
	// above it. Where a balancer chooses at random one replica in fifty is
	// further up, by chance.
	scatter = 2
	// minYield keeps a round from taking nearly everybody for its turn where
	// most clients have no request in half a minute.
	minYield = 0.25
	// tellingPlan is how many closes a round has to have for its yield to be
	// more than chance.
	tellingPlan = 10
	// minPace is below what part of the full pace closing ends, after six
	// verdicts that it does not help, for excessPause.
	minPace     = 1.0 / 32
	excessPause = int64(time.Hour)
	// helpful is how many connections, for each one that was closed, have to be
	// gone for good. With ten replicas added to a hundred and a balancer that
	// chooses at random it is one in eleven.
	helpful = 1.0 / 20
)

// Excess closes what a replica has above its fair share, in rounds of half a
// minute.
//
// A replica has 1,250 connections and a share of 1,000. That is more than the
// 63 of natural scatter above it, and a round begins: 250 of 1,250 are a fifth,
// so that the connections with lots below 0.2 have their turn, those below 0.1
// in its first half, and each goes with its next response. Those that came
// after the round had begun stay. Say 170 of the 250 have had a request in
// time: of the next 80 of 1,080 as many would be too slow, so that the next
// round gives a turn to 11 in 100 in place of 7, and draws lots anew. It goes
// on, below 1,063 as well, until no more than 1,000 are left, and then begins
// again only above 1,063.
//
// Where the connections come back there is no point in it. After each tenth of
// the share it looks whether the excess has become smaller by a twentieth of
// what was closed. If not, the next rounds close half as many; if so, twice as
// many again. After six failures it gives up, until the excess has gone by
// itself or an hour has passed.
type Excess struct {
	sampled atomic.Int64
	turn    atomic.Uint32 // lots below it have their turn; 0 = nobody
	began   atomic.Int64  // the round
	round   atomic.Uint32 // counts the rounds
	left    atomic.Int64  // how many may still go before the next sample
	made    atomic.Int64  // closes

	// What Sample alone uses.
	shedding bool
	running  bool    // a round has begun
	planned  float64 // closes in this round
	part     float64 // of the connections whose turn it is in this round
	madeAt   int64   // made when the round began
	yield    float64 // how many of those whose turn it was had a request in time
	verdict  verdict
}

// Init must be called before anything else.
func (x *Excess) Init() { x.yield = 1 }

// Interval is how often Sample should be called, in nanoseconds.
func (x *Excess) Interval() int64 { return excessInterval }

// Goes reports whether it is the turn of a connection with this lot, opened at
// this time.
func (x *Excess) Goes(own Lot, opened, now int64) bool {
	turn := x.turn.Load()
	return turn > 0 && x.left.Load() > 0 && x.lotOf(own) < Lot(turn) &&
		opened < x.began.Load() && now-opened >= minLoadAge && now-x.sampled.Load() <= excessStale
}

// lotOf returns the connection's place in this round.
func (x *Excess) lotOf(own Lot) Lot { return own.Other(^x.round.Load()) }

// Take takes a close from the round and the budget, and reports whether it is
// allowed.
func (x *Excess) Take(now int64, budget *Budget) bool {
	if x.left.Add(-1) < 0 {
		return false
	}
	if !budget.Take(now) {
		x.left.Add(1)
		return false
	}
	x.made.Add(1)
	return true
}

// Sample notes how many connections are open, without those that have been told
// to go, and the fair share; 0 and below mean that it is not known. It must not
// be called twice at once.
func (x *Excess) Sample(now int64, open, share int) {
	x.sampled.Store(now)
	if share <= 0 {
		x.rest()
		return
	}
	excess := float64(open - share)
	switch {
	case excess <= 0:
		x.shedding = false
	case !x.shedding && excess > scatter*math.Sqrt(float64(share)):
		x.shedding = true
		x.verdict.reset()
	}
	if !x.shedding {
		x.rest()
		return
	}
	if x.running && now >= x.began.Load()+excessRound {
		x.end()
	}
	if !x.running {
		x.verdict.follow(now, x.made.Load(), open, share)
		if !x.begin(now, excess*x.verdict.pace(now), open) {
			return
		}
	}
	// The turns of the second that begins now are given out at its beginning.
	passed := min(float64(now+excessInterval-x.began.Load())/float64(excessRound), 1)
	x.turn.Store(uint32(min(x.part*passed, 1) * math.MaxUint32))
	due := math.Ceil(x.planned*passed) - float64(x.made.Load()-x.madeAt)
	x.left.Store(int64(max(0, min(due, excess))))
}

// begin begins a round of so many closes.
func (x *Excess) begin(now int64, planned float64, open int) bool {
	if planned <= 0 {
		x.rest()
		return false
	}
	x.running = true
	x.planned = planned
	x.part = planned / float64(open) / x.yield
	x.madeAt = x.made.Load()
	x.turn.Store(0)
	x.round.Add(1)
	x.began.Store(now)
	return true
}

// end ends a round that has lasted its time.
func (x *Excess) end() {
	x.running = false
	if x.planned < tellingPlan {
		return
	}
	if part := float64(x.made.Load()-x.madeAt) / x.planned; part < 1 {
		x.yield = max(x.yield*part, minYield)
	} else {
		x.yield = min(x.yield*5/4, 1)
	}
}

// rest makes everybody stay.
func (x *Excess) rest() {
	x.running = false
	x.turn.Store(0)
	x.left.Store(0)
}

// verdict is on whether the closes do any good.
type verdict struct {
	part  float64 // of the full pace
	until int64   // of a pause; 0 = none

	judging     bool
	made        int64 // closes when it began to judge
	open, share int   // then
}

func (v *verdict) reset() { *v = verdict{part: 1} }

// pace returns the part of the full pace that is allowed.
func (v *verdict) pace(now int64) float64 {
	if now < v.until {
		return 0
	}
	return v.part
}

// follow is told between two rounds what has become of the closes so far.
//
// Either number may hide that they help: while clients arrive everywhere the
// connections do not get fewer, and while a share that has just become smaller
// is still on its way down the excess does not.
func (v *verdict) follow(now, made int64, open, share int) {
	closed := float64(made - v.made)
	if v.judging && closed < max(float64(share)/10, 1) {
		return
	}
	if v.judging {
		gone := max(v.open-open, v.open-v.share-(open-share))
		if float64(gone) >= closed*helpful {
			v.part = min(2*v.part, 1)
		} else if v.part /= 2; v.part < minPace {
			v.part = minPace
			v.until = now + excessPause
		}
	}
	v.judging, v.made, v.open, v.share = true, made, open, share
}
