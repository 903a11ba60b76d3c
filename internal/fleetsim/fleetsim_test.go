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
