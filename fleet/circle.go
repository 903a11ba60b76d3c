package fleet

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

// circle decides whose turn it is. Each peer has a place on a circle, drawn
// from its address, and each sample is the next few after the last one that had
// its turn. With the peers a to e at the places
//
//	c 12   a 30   e 47   b 65   d 91   (of 100)
//
// and the hand at 30, a sample of three is e, b and d, and the next one c, a
// and e. A peer that is new falls into place between the others and has its
// turn no sooner than anybody else: were it asked first, a fleet that grows
// would look emptier than it is. Each Share has other places, so that not all
// ask the same peers at the same time.
type circle struct{ seed, hand uint64 }

func (c *circle) init(seed uint64) { c.seed, c.hand = seed, seed }

// next returns the next n peers, all of them where there are no more.
func (c *circle) next(peers []string, n int) []string {
	type place struct {
		ahead uint64 // how far from the hand
		peer  string
	}
	places := make([]place, len(peers))
	for i, peer := range peers {
		places[i] = place{c.place(peer) - c.hand - 1, peer}
	}
	slices.SortFunc(places, func(a, b place) int {
		switch {
		case a.ahead < b.ahead:
			return -1
		case a.ahead > b.ahead:
			return 1
		}
		return 0
	})
	places = slices.CompactFunc(places, func(a, b place) bool { return a.peer == b.peer })
	places = places[:min(n, len(places))]
	sample := make([]string, len(places))
	for i, p := range places {
		sample[i] = p.peer
	}
	if len(places) > 0 {
		c.hand += places[len(places)-1].ahead + 1
	}
	return sample
}

func (c *circle) place(peer string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(peer))
	// Addresses are alike, and so are their hashes. PCG makes two numbers
	// one that is not.
	return rand.NewPCG(c.seed, h.Sum64()).Uint64()
}
