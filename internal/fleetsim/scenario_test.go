//go:build !race

// These go through hours of the fleets' time on one goroutine, which takes minutes
// where each access is looked at for a race; the other tests simulate for that.
package fleetsim

import (
	"os"
	"testing"
	"time"
)

func closesFrom(r Result, minute int) (n int) {
	for _, closes := range r.ClosesByMinute[minute:] {
		n += closes
	}
	return n
}

func TestNewReplicasGetTheirShareAndThenNobodyIsClosed(t *testing.T) {
	cfg := config("scale-out", "excess", LeastConnections, 15*time.Minute)
	r := simulate(t, cfg)
	most := 1.1 * 0.9 * float64(cfg.Clients) / 5
	if os.Getenv("POLITECLOSE_FULL") == "" {
		most *= 1.02 // few replicas begin together, and more of those that they closed are on their way
	}
	if r.Balanced < 0 || r.Balanced > 150 || float64(r.ClosesUntil) > most || closesFrom(r, 3) > 0 {
		t.Errorf("want 150 s at most, %.0f closes, and none from the fourth minute on", most)
	}
}

func TestNewReplicasGetTheirShareWhereTheBalancerChoosesAtRandom(t *testing.T) {
	d := 30 * time.Minute
	if os.Getenv("POLITECLOSE_FULL") != "" {
		d = 72 * time.Minute
	}
	cfg := config("scale-out", "excess", Random, d)
	r := simulate(t, cfg)
	if r.Balanced < 0 || r.Balanced > 720 {
		t.Error("want 720 s at most")
	}
	// Age 5 min closes each connection twelve times an hour.
	if after, allowed := r.Closes-r.ClosesUntil, cfg.Clients*12/100; after > allowed {
		t.Errorf("%d closes after that, want %d at most", after, allowed)
	}
	if late := closesFrom(r, len(r.ClosesByMinute)*2/3); late > 0 {
		t.Errorf("%d closes in the last third", late)
	}
}

func TestAfterARollingRestartTheFleetIsEven(t *testing.T) {
	for _, placement := range []string{LeastConnections, Random} {
		cfg := config("rolling restart", "excess", placement, 0)
		cfg.Duration = time.Duration(cfg.Replicas)*Restart + settling + time.Minute
		r := simulate(t, cfg)
		most := 1.1
		if placement == Random && cfg.Clients/cfg.Replicas < 1000 {
			most = 1.15 // natural scatter is 4.5 % there
		}
		if r.LargestAfter > most || r.LargestAfter < 1 {
			t.Errorf("want %v at most after five minutes", most)
		}
	}
}

// TestNobodyIsClosedWithoutNeed has scenarios in which there is nothing to be
// gained by closing, or in which that is not known.
func TestNobodyIsClosedWithoutNeed(t *testing.T) {
	for _, scenario := range []string{"crash of a tenth", "slow replica", "flapping readiness", "nobody answers"} {
		t.Run(scenario, func(t *testing.T) {
			r := simulate(t, config(scenario, "excess", LeastConnections, 5*time.Minute))
			if r.Closes > 0 {
				t.Errorf("%d closes", r.Closes)
			}
		})
	}
}

// TestWhoLeavesBeforeTheBalancerKnowsIsMovedAgain has clients that leave while the balancer still
// takes the replicas that restart for ready, and come back to them.
func TestWhoLeavesBeforeTheBalancerKnowsIsMovedAgain(t *testing.T) {
	moves := func(delay, spread time.Duration) float64 {
		cfg := config("restart by quarters", "none", Random, 45*time.Second)
		cfg.Replicas, cfg.Clients, cfg.Think, cfg.DrainDelay, cfg.DrainSpread = 20, 1000, 2*time.Second, delay, spread
		return simulate(t, cfg).Moves
	}
	atOnce := moves(0, 0)
	for name, later := range map[string]float64{"delay": moves(notice, 0), "spread": moves(0, Restart/2)} {
		if later > 0.97*atOnce {
			t.Errorf("%s: %.3f moves per connection, %.3f at once", name, later, atOnce)
		}
	}
}
