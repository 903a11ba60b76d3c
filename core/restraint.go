package core

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// restraintInterval is how long closes for load have to show what good they do.
	restraintInterval = int64(10 * time.Second)
	// rampTime is how long after the first close the load may still be building up.
	rampTime = restraintInterval / 2
	// visibleRelief is the part by which the pressure has to fall for closes to
	// have helped beyond doubt.
	visibleRelief = 0.05
	// leastLoadRate is the rate of closes per second that stays when none helps.
	leastLoadRate = 0.1
	// mostLoadRate is where the halving starts if the Budget has no bound.
	mostLoadRate = 1000
)

// restraint halves the rate of closes for load while they do not lower it: then
// nobody else is there to take the load, and every close only adds a handshake.
// It doubles the rate when they do, up to the Budget.
type restraint struct {
	made     atomic.Uint64 // closes for load
	rate     atomic.Uint64 // math.Float64bits of the closes per second
	limit    budget        // used while the rate is below full
	full     float64       // the Budget's own rate
	pressure float64       // smoothed, without an upper bound at the hard threshold

	judged      uint64 // of made, those that have had a verdict
	judging     bool   // the rest is for the closes that wait for theirs
	before      float64
	madeBefore  uint64
	connections int
	rampEnd     int64
	nextVerdict int64
}

func (r *restraint) init(perSecond float64) {
	r.full = min(perSecond, mostLoadRate)
	r.limit.init(r.full, 1)
	r.lift()
}

// lift gives the whole rate back.
func (r *restraint) lift() {
	r.judging, r.judged = false, r.made.Load()
	r.setRate(r.full)
}

func (r *restraint) setRate(perSecond float64) {
	perSecond = min(max(perSecond, leastLoadRate), r.full)
	r.limit.setRate(perSecond)
	r.rate.Store(math.Float64bits(perSecond))
}

func (r *restraint) perSecond() float64 { return math.Float64frombits(r.rate.Load()) }

// take takes a close for load from the budget and reports whether it is allowed.
func (r *restraint) take(now int64, budget *budget) bool {
	restrained := r.perSecond() < r.full
	if restrained && !r.limit.take(now) {
		return false
	}
	if !budget.take(now) {
		if restrained {
			r.limit.giveBack()
		}
		return false
	}
	r.made.Add(1)
	return true
}

// follow takes note of a sample of the pressure, which counts with weight.
func (r *restraint) follow(now int64, weight, pressure float64, connections int) {
	last := r.pressure
	r.pressure += weight * (pressure - r.pressure)
	made := r.made.Load()
	if made == r.judged {
		return
	}
	if !r.judging {
		r.judging = true
		r.before, r.madeBefore, r.connections = last, r.judged, connections
		r.rampEnd, r.nextVerdict = now+rampTime, now+restraintInterval
	}
	if now < r.rampEnd && r.pressure > r.before {
		r.before, r.madeBefore = r.pressure, made
	}
	if now >= r.nextVerdict {
		r.verdict(now, made)
	}
}

func (r *restraint) verdict(now int64, made uint64) {
	relief := 1 - r.pressure/r.before
	// Among many connections few closes can not be seen. A quarter of what they
	// would do if every one of them went elsewhere is enough to go on.
	hoped := visibleRelief
	if r.connections > 0 {
		hoped = min(hoped, float64(made-r.madeBefore)/float64(r.connections)/4)
	}
	switch {
	case relief >= visibleRelief:
		r.judging = false
		r.setRate(r.perSecond() * 2)
	case relief < hoped:
		r.judging = false
		r.setRate(r.perSecond() / 2)
	default: // too little to tell: they are judged again, with those to come
		r.nextVerdict = now + restraintInterval
	}
	r.judged = made
}
