package shed

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// excessInterval is how long a sample of the excess stands, and
	// excessStale after how long without one nobody goes.
	excessInterval = int64(time.Second)
	excessStale    = 3 * excessInterval
	// excessRound is over how long an excess is spread.
	excessRound = int64(30 * time.Second)
	// scatter is how many times the square root of the share a replica may
	// be above it. Where a balancer chooses at random one replica in fifty
	// is further up, by chance.
	scatter = 2
	// remainder is how many times that root may be left when a round has
	// ended, and no other one begins. It is small, since what 80 replicas
	// have above the share is, times four, what 20 new ones lack: 1 % of a
	// share of 1,000, and 4 % of theirs. With a half, new replicas behind a
	// balancer that chooses at random stay below 90 % of a share of 500.
	remainder = 1.0 / 3
	// minYield keeps a round from taking nearly everybody for its turn
	// where most clients have no request in half a minute.
	minYield = 0.25
	// spare is how many more have their turn than go, in standard
	// deviations: lots are drawn, not counted. Without them half of all
	// rounds leave a few for the next one, and it for another.
	spare = 3
	// tellingPlan is how many closes a round has to have for its yield to
	// be more than chance.
	tellingPlan = 10
	// helpful is what part of the excess has to be gone after a quarter of
	// the connections were closed: a quarter of what is to be expected.
	helpful = 1.0 / 16
	// leastPause is how long nobody goes after closes that did not help.
	// The next pause is twice as long, and so on up to mostPause.
	leastPause   = int64(30 * time.Second)
	mostFailures = 11
	mostPause    = leastPause << mostFailures
)

// Excess closes what a replica has above its fair share, in rounds of half a
// minute.
//
// A replica has 1,250 connections and a share of 1,000. That is more than the
// 63 of natural scatter above it, and a round begins: 250 of 1,250 are a fifth,
// and with three standard deviations of 16 there are 297, so that the connections
// with lots below 0.24 have their turn, those below 0.12 in its first half, and
// each goes with its next response, eight in a second at most. Those that came
// after the round had begun stay. Say 170 have had a request in time: of the next
// 80 of 1,080 as many would be too slow, so that the next round gives a turn to
// 15 in 100 in place of 10, and draws lots anew. A round goes on until no more
// than 1,000 are left. One that ends with up to 10 more is the last one, too, or
// the last few would go one in half a minute. When it has stayed there for half
// a minute it begins again only above 1,063.
//
// The first round goes on until all of its 250 have gone, or 10 fewer than the
// share are left. It was planned while no connection was on its way. Now some are,
// which count on both sides or on none, and a share that only looks larger would
// end the round with a few left for another half minute.
//
// While the share is not known nobody goes and the round waits. Were it over,
// what is left would be spread over another half a minute.
//
// Where the connections come back there is no point in it. When as many have
// been closed as a quarter of those that there were, the excess has to be
// smaller by a sixteenth. If not, nobody goes for a minute, after the next
// quarter for two, and so on.
type Excess struct {
	sampled atomic.Int64
	turn    atomic.Uint32 // lots below it have their turn; 0 = nobody
	began   atomic.Int64  // the round
	round   atomic.Uint32 // counts the rounds
	left    atomic.Int64  // how many may still go before the next sample
	made    atomic.Int64  // closes

	// What Sample alone uses.
	shedding  bool
	evenSince int64   // 0 = some have to go
	first     bool    // nobody had gone when this round was planned
	running   bool    // a round has begun
	ran       int64   // how long it has, without the time in which the share was not known
	planned   float64 // closes in this round
	part      float64 // of the connections whose turn it is in this round
	madeAt    int64   // made when the round began
	yield     float64 // how many of those whose turn it was had a request in time
	verdict   verdict
}

// Init must be called before anything else.
func (x *Excess) Init() { x.yield = 1 }

// Interval is how often Sample should be called, in nanoseconds.
func (x *Excess) Interval() int64 { return excessInterval }

// Running reports whether anybody may have to go.
func (x *Excess) Running() bool { return x.turn.Load() > 0 }

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
	passed := now - x.sampled.Swap(now)
	if share <= 0 {
		x.wait()
		return
	}
	x.ran += passed
	excess, root := float64(open-share), math.Sqrt(float64(share))
	few := remainder * root
	if x.running && x.ran >= excessRound {
		x.end(excess)
	}
	even := excess <= x.enough(few)
	switch {
	case !even:
		x.evenSince = 0
	case x.evenSince == 0:
		x.evenSince = now
	}
	switch {
	case even && now-x.evenSince >= excessRound:
		x.shedding = false
	case !x.shedding && excess > scatter*root:
		x.shedding, x.first = true, true
		x.verdict.reset()
	}
	if !x.shedding || even {
		x.rest()
		return
	}
	if !x.running {
		if !x.verdict.follow(now, x.made.Load(), open, excess) {
			x.rest()
			return
		}
		x.begin(now, excess, open)
	}
	// The turns of the second that begins now are given out at its
	// beginning.
	done := min(float64(x.ran+excessInterval)/float64(excessRound), 1)
	x.turn.Store(uint32(min(x.part*done, 1) * math.MaxUint32))
	due := math.Ceil(x.planned*done) - float64(x.made.Load()-x.madeAt)
	x.left.Store(int64(max(0, min(due, excess-x.enough(few)))))
}

// enough is how far above the share nobody has to go any more.
func (x *Excess) enough(few float64) float64 {
	switch {
	case !x.running:
		return few
	case x.first:
		return -few
	}
	return 0
}

// begin begins a round of so many closes.
func (x *Excess) begin(now int64, planned float64, open int) {
	x.running, x.ran = true, 0
	x.planned = planned
	x.part = (planned + spare*math.Sqrt(planned)) / float64(open) / x.yield
	x.madeAt = x.made.Load()
	x.turn.Store(0)
	x.round.Add(1)
	x.began.Store(now)
}

// end ends a round that has lasted its time.
func (x *Excess) end(excess float64) {
	x.running, x.first = false, false
	if excess <= 0 || x.planned < tellingPlan {
		return
	}
	if part := float64(x.made.Load()-x.madeAt) / x.planned; part < 1 {
		x.yield = max(x.yield*part, minYield)
	} else {
		x.yield = min(x.yield*5/4, 1)
	}
}

// rest ends the round, if there is one, and makes everybody stay.
func (x *Excess) rest() {
	x.running, x.first = false, false
	x.wait()
}

// wait makes everybody stay until the next sample.
func (x *Excess) wait() {
	x.turn.Store(0)
	x.left.Store(0)
}

// verdict is on whether the closes do any good.
//
// A balancer that chooses at random sends most of what is closed back to
// replicas that have enough, so that closes can help with little to be seen.
// But however few replicas were added, once as many connections have been
// closed as there were, the excess is gone: with ten added to a hundred, one
// close in eleven goes to a new one, and one connection in eleven is the
// excess. So after a quarter of them it should be smaller by a quarter, give or
// take what chance does.
//
// While clients arrive from elsewhere, in a rolling restart, an excess that is
// held down does not become smaller either. So a pause begins with half a
// minute in which the connections are watched: once they have grown by half of
// what had been closed in such a time, that had helped, and the pause is over.
// The share does not count there: while a fleet changes, what a replica knows
// of it is late, and by more than that.
type verdict struct {
	until    int64 // of a pause
	watching bool  // it is the first half minute of it
	failures int

	judging bool
	since   int64
	made    int64 // closes when it began to judge
	open    int   // then
	excess  float64
	rate    float64 // closes per nanosecond before the pause
}

func (v *verdict) reset() { *v = verdict{} }

// follow is told between two rounds what has become of the closes so far, and
// reports whether there may be more.
func (v *verdict) follow(now, made int64, open int, excess float64) bool {
	switch closed := float64(made - v.made); {
	case v.watching && float64(open-v.open) >= v.rate*float64(leastPause)/2:
		v.watching, v.failures = false, 0
		v.until = now
	case now < v.until:
		return false
	case v.watching:
		v.watching = false
		v.until = now + min(leastPause<<v.failures, mostPause)
		v.failures = min(v.failures+1, mostFailures)
	case !v.judging:
	case closed < float64(v.open)/4:
		return true
	case excess > v.excess*(1-helpful):
		v.watching = true
		v.until = now + leastPause
		v.rate = closed / float64(now-v.since)
	}
	v.judging, v.since, v.made, v.open, v.excess = true, now, made, open, excess
	return now >= v.until
}
