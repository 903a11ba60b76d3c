package fleetsim

import (
	"math/rand/v2"
	"slices"
)

// How a balancer assigns connections.
const (
	Random           = "random"
	RoundRobin       = "round-robin"
	LeastConnections = "least-connections"
)

// Placements are all of them.
func Placements() []string { return []string{Random, RoundRobin, LeastConnections} }

// balancer assigns connections to the replicas that it takes for ready.
type balancer struct {
	ready  []*replica
	policy func([]*replica) *replica
}

func (b *balancer) add(r *replica) { b.ready = append(b.ready, r) }

func (b *balancer) remove(r *replica) {
	b.ready = slices.DeleteFunc(slices.Clone(b.ready), func(other *replica) bool { return other == r })
}

func (b *balancer) choose() *replica { return b.policy(b.ready) }

var placements = map[string]func(*rand.Rand) func([]*replica) *replica{
	Random: func(random *rand.Rand) func([]*replica) *replica {
		return func(ready []*replica) *replica { return ready[random.IntN(len(ready))] }
	},
	RoundRobin: func(*rand.Rand) func([]*replica) *replica { return inTurn() },
	LeastConnections: func(*rand.Rand) func([]*replica) *replica {
		turn := -1
		return func(ready []*replica) *replica {
			turn = (turn + 1) % len(ready)
			best := ready[turn]
			for i := range ready {
				if other := ready[(turn+i)%len(ready)]; other.connections < best.connections {
					best = other
				}
			}
			return best
		}
	},
}

func inTurn() func([]*replica) *replica {
	turn := -1
	return func(ready []*replica) *replica {
		turn = (turn + 1) % len(ready)
		return ready[turn]
	}
}
