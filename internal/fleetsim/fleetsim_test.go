package fleetsim

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// config is a small fleet, or the one of the examples at full size.
func config(scenario, policy, placement string, d time.Duration) Config {
	cfg := Config{Placement: placement, Replicas: 20, Clients: 10_000, Think: 10 * time.Second, Duration: d, Seed: 1}
	if os.Getenv("POLITECLOSE_FULL") != "" {
		cfg.Replicas, cfg.Clients = 100, 100_000
	}
	for _, s := range Scenarios() {
		if s.Name == scenario {
			cfg.Scenario = s
		}
	}
	for _, p := range Policies() {
		if p.Name == policy {
			cfg.Policy = p
		}
	}
	return cfg
}

func simulate(t *testing.T, cfg Config) Result {
	t.Helper()
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s, %s, %s: 90 %% after %.0f s and %d closes, %d in all, by minute %v; largest/mean %.3f, then %.3f; %.3f moves",
		r.Scenario, r.Policy, r.Placement, r.Balanced, r.ClosesUntil, r.Closes, r.ClosesByMinute,
		r.LargestAfter, r.LargestAtEnd, r.Moves)
	return r
}

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

func TestTheSameSeedGivesTheSameResult(t *testing.T) {
	run := func(seed uint64) Result {
		cfg := config("scale-out", "excess, age 1h", Random, 2*time.Minute)
		cfg.Replicas, cfg.Clients, cfg.Seed = 10, 2000, seed
		return simulate(t, cfg)
	}
	one := run(1)
	if !reflect.DeepEqual(one, run(1)) {
		t.Error("two runs differ")
	}
	if reflect.DeepEqual(one.Samples, run(2).Samples) {
		t.Error("another seed gives the same")
	}
	if one.Closes == 0 {
		t.Error("nobody was closed")
	}
}

func TestASimulationThatIsGivenUpEnds(t *testing.T) {
	cfg := config("scale-out", "none", Random, time.Hour)
	give := errors.New("enough")
	calls := 0
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	cfg.Progress = func(time.Duration) { calls++; cancel(give) }
	if _, err := Run(ctx, cfg); !errors.Is(err, ctx.Err()) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestThePlotIsAnSVGWithALineForEachReplica(t *testing.T) {
	cfg := config("scale-out", "none", Random, time.Minute)
	cfg.Replicas, cfg.Clients = 10, 100
	results, err := RunAll(t.Context(), []Config{cfg, cfg}, func(float64) {})
	if err != nil {
		t.Fatal(err)
	}
	var svg bytes.Buffer
	if err := Plot(&svg, results); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(svg.String(), "<polyline"); n != 20 {
		t.Errorf("%d lines", n)
	}
	for decoder := xml.NewDecoder(&svg); ; {
		_, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("it is no XML: %v", err)
		}
	}
}
