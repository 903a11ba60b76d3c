package core

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
)

// lot is a connection's place in [0,1), as a fraction of 1<<32. Where a share of
// the connections has to go, those go whose lot is below it.
type lot uint32

// lotSequence hands out lots that are spread more evenly than chance: each step
// adds the golden ratio, a sequence of low discrepancy, from a random start, so
// that replicas do not all begin with the same one.
type lotSequence struct{ last atomic.Uint32 }

// goldenRatio is its fraction, 0.618…, of 1<<32.
const goldenRatio = 0x9e3779b9

func (s *lotSequence) init()     { s.last.Store(rand.Uint32()) }
func (s *lotSequence) draw() lot { return lot(s.last.Add(goldenRatio)) }

func (l lot) float() float64 { return float64(l) / (1 << 32) }

// within maps the lot from [0,1) to [from,to).
func (l lot) within(from, to float64) lot {
	return lot(min((from+l.float()*(to-from))*(1<<32), math.MaxUint32))
}

// other returns a lot that looks independent of l, the same one every time.
func (l lot) other(n uint32) lot {
	x := uint32(l) + n*0x85ebca6b
	x = (x ^ x>>16) * 0x7feb352d
	x = (x ^ x>>15) * 0x846ca68b
	return lot(x ^ x>>16)
}
