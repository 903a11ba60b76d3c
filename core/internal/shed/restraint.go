package shed

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// restraintInterval is how long closes for load have to show what good they
	// do.
	restraintInterval = int64(10 * time.Second)
	// tellingShare is the share of the connections that has to be closed for
	// the closes to be known as what lowered the pressure.
	tellingShare = 0.1
	// leastLoadRate is the rate of closes per second that stays when none
	// helps.
	leastLoadRate = 0.1
	// mostLoadRate is where the halving starts if the Budget has no bound.
	mostLoadRate = 1000
)

// restraint keeps closes for load from doing harm where nobody else is there to
// take it. In a round each connection goes once at most: those that came after
// the round's first close are most likely the ones that were closed, here or on
// a replica in the same trouble. Closes that do not lower the pressure within
// ten seconds are halved; those that do begin a new round.
type restraint struct {
	made    atomic.Uint64 // closes for load
	refused atomic.Uint64 // those that were not allowed, though not by the shared Budget
	rate    atomic.Uint64 // math.Float64bits of the closes per second
	round   atomic.Int64  // connections that came later stay; far off before the first close
	limit   Budget        // of the rate, used while that is below full
	probe   Budget        // for connections that came later
	full    float64       // the Budget's own rate

	last        float64 // the last sample of the pressure
	judged      uint64  // of made, those that have had a verdict
	judging     bool    // the rest is for the closes that wait for theirs
	start       int64
	verdictAt   int64
	madeBefore  uint64
	connections int
	peak        float64 // of the pressure, from just before the first close
	early, late average // of the pressure
}

const farOff = math.MaxInt64

func (r *restraint) init(perSecond float64) {
	r.full = min(perSecond, mostLoadRate)
	r.limit.Init(r.full, 1)
	r.probe.Init(leastLoadRate, 1)
	r.lift()
}

// lift forgets everything, after the load has gone.
func (r *restraint) lift() {
	r.judging, r.judged = false, r.made.Load()
	r.round.Store(farOff)
	r.setRate(r.full)
}

func (r *restraint) setRate(perSecond float64) {
	perSecond = min(max(perSecond, leastLoadRate), r.full)
	r.limit.setRate(perSecond)
	r.rate.Store(math.Float64bits(perSecond))
}

func (r *restraint) perSecond() float64 { return math.Float64frombits(r.rate.Load()) }

// take takes a close for load from the budget and reports whether it is
// allowed.
func (r *restraint) take(now, opened int64, shared *Budget) bool {
	var own *Budget
	switch {
	case opened >= r.round.Load():
		own = &r.probe
	case r.perSecond() < r.full:
		own = &r.limit
	}
	if own != nil && !own.Take(now) {
		r.refused.Add(1)
		return false
	}
	if !shared.Take(now) {
		if own != nil {
			own.GiveBack()
		}
		return false
	}
	r.made.Add(1)
	r.round.CompareAndSwap(farOff, now)
	return true
}

// follow takes note of a sample of the pressure.
func (r *restraint) follow(now int64, pressure float64, connections int) {
	before := r.last
	r.last = pressure
	made := r.made.Load()
	if made == r.judged {
		return
	}
	if !r.judging {
		r.judging = true
		r.start, r.verdictAt = now, now+restraintInterval
		r.madeBefore, r.connections = r.judged, connections
		r.peak, r.early, r.late = before, average{}, average{}
		r.early.add(before)
	}
	if now < r.start+restraintInterval/5 {
		r.early.add(pressure)
	}
	if now < r.start+restraintInterval/2 {
		r.peak = max(r.peak, pressure) // the load may still be building up
	}
	if now >= r.verdictAt-restraintInterval/2 {
		r.late.add(pressure)
	}
	if now >= r.verdictAt {
		r.verdict(now, made)
	}
}

// verdict is on the closes since follow began to judge. Among many connections
// few closes cannot be seen, so that a part of what they would do if everybody
// went elsewhere has to be enough.
//
// Chance must not pass for help: of two replicas that shed to each other, the
// one that is luckier would go on and leave the other with all. So the pressure
// has to fall by more than its scatter, and for a new round by a good deal
// more.
func (r *restraint) verdict(now int64, made uint64) {
	hoped := 1.0
	if r.connections > 0 {
		hoped = min(hoped, float64(made-r.madeBefore)/float64(r.connections))
	}
	late := r.late.mean()
	scatter := 2 * math.Hypot(r.early.standardError(), r.late.standardError())
	switch {
	case late+3*r.late.deviation() > r.peak*(1-hoped/4):
		r.judging = false
		r.setRate(r.perSecond() / 2)
	case hoped >= tellingShare && late+scatter <= r.early.mean()*(1-hoped/2):
		r.judging = false
		r.setRate(r.perSecond() * 2)
		r.round.Store(now)
	default: // too little to tell: they are judged again, with those to come
		r.verdictAt = now + restraintInterval
		r.late = average{}
	}
	r.judged = made
}

// average is the mean of samples and their standard deviation. That is taken
// from the differences of successive samples, so that a trend does not count.
type average struct{ n, sum, last, squares float64 }

func (a *average) add(v float64) {
	if a.n > 0 {
		a.squares += (v - a.last) * (v - a.last)
	}
	a.n++
	a.sum += v
	a.last = v
}

func (a *average) mean() float64 { return a.sum / a.n }

func (a *average) deviation() float64 { return math.Sqrt(a.squares / 2 / max(a.n-1, 1)) }

func (a *average) standardError() float64 { return a.deviation() / math.Sqrt(a.n) }
