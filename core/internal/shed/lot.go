// Package shed is the arithmetic of closing a share of the connections: whose
// turn it is, how many there may be, and whether they do any good.
//
//	Lot       a connection's place in the share, from 0 to 1
//	Schedule  the share that has to go in a drain
//	Budget    how many closes per second, at most
//	Load      the share that has to go for load, and its restraint
//	Excess    how many have to go so that a fair share is left
//
// When a load signal is half-way between its thresholds, [Load.Share] comes to
// be 0.5. A connection whose [Lot] is below that asks [Load.Take] whether it
// may go now. That asks the restraint of closes for load, then the Budget that
// all voluntary closes share.
//
// Times are nanoseconds on one clock that starts above 0. Everything is safe
// for concurrent use, unless it says otherwise.
package shed

import (
	"math"
	"sync/atomic"
)

// Lot is a connection's place in [0,1), as a fraction of 1<<32. Where a share
// of the connections has to go, those go whose lot is below it. A connection
// keeps its lot, so that a share that stays the same takes nobody twice.
type Lot uint32

// Lots hands out lots that are spread more evenly than chance: each step adds
// the golden ratio, a sequence of low discrepancy, from a random start, so that
// replicas do not all begin with the same one. From 0.10 it goes to 0.72, 0.34,
// 0.95, 0.57, 0.19: half of any two, and nearly half of any few, are below 0.5.
type Lots struct{ last atomic.Uint32 }

// goldenRatio is its fraction, 0.618…, of 1<<32.
const goldenRatio = 0x9e3779b9

// Init must be called before anything else, with a random number.
func (s *Lots) Init(start uint32) { s.last.Store(start) }

// Draw returns the next lot.
func (s *Lots) Draw() Lot { return Lot(s.last.Add(goldenRatio)) }

// Float returns the lot as a number in [0,1).
func (l Lot) Float() float64 { return float64(l) / (1 << 32) }

// Within maps the lot from [0,1) to [from,to).
func (l Lot) Within(from, to float64) Lot {
	return Lot(min((from+l.Float()*(to-from))*(1<<32), math.MaxUint32))
}

// Other returns a lot that looks independent of l, the same one every time for
// the same n.
func (l Lot) Other(n uint32) Lot {
	x := uint32(l) + n*0x85ebca6b
	x = (x ^ x>>16) * 0x7feb352d
	x = (x ^ x>>15) * 0x846ca68b
	return Lot(x ^ x>>16)
}
