package fleet

import (
	"fmt"
	"testing"
)

func addresses(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250)
	}
	return all
}

func TestInARevolutionEachPeerHasItsTurnOnce(t *testing.T) {
	var c circle
	c.init(7)
	peers := addresses(96)
	turns := map[string]int{}
	for range 12 {
		sample := c.next(peers, 8)
		if len(sample) != 8 {
			t.Fatalf("a sample of %d", len(sample))
		}
		for _, peer := range sample {
			turns[peer]++
		}
	}
	for _, peer := range peers {
		if turns[peer] != 1 {
			t.Errorf("%s had %d turns", peer, turns[peer])
		}
	}
}

func TestASampleHasNobodyTwiceAndNoMoreThanThereAre(t *testing.T) {
	var c circle
	for n := range 10 {
		peers := addresses(n)
		for range 3 {
			seen := map[string]bool{}
			for _, peer := range c.next(append(peers, peers...), 8) {
				if seen[peer] {
					t.Errorf("of %d peers one is in a sample twice", n)
				}
				seen[peer] = true
			}
			if len(seen) != min(n, 8) {
				t.Errorf("a sample of %d of %d peers", len(seen), n)
			}
		}
	}
}

// TestNewPeersAreNotPreferred adds a fifth to a fleet that is larger than the
// reports that count, and looks at how many of the samples are new ones.
func TestNewPeersAreNotPreferred(t *testing.T) {
	const turns, added = 400, 300
	fresh := 0
	for seed := range uint64(50) {
		var c circle
		c.init(seed * 0x9e3779b97f4a7c15)
		peers := addresses(1500)
		for range 10 {
			c.next(peers[:1500-added], 8)
		}
		for range turns / 8 {
			for _, peer := range c.next(peers, 8) {
				for _, young := range peers[1500-added:] {
					if peer == young {
						fresh++
					}
				}
			}
		}
	}
	if share := float64(fresh) / (50 * turns); share < 0.19 || share > 0.21 {
		t.Errorf("a share of %.3f of the samples is new, want 0.2", share)
	}
}
