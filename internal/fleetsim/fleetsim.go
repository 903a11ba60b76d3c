// Package fleetsim simulates a fleet of replicas behind a balancer that assigns
// connections once. The Controllers, the records of the connections and the
// Shares are the real ones, on a simulated clock; what is simulated is the
// network, the balancer and the clients.
//
// Each client has one keep-alive connection. After a think time it sends a
// request, over a new connection where its last response announced the end of
// the old one, or its replica has gone.
package fleetsim

import (
	"context"
	"fmt"
	"time"
)

// Config is one simulation. All of it must be set, but for Progress and how a
// replica drains.
type Config struct {
	Scenario  Scenario
	Policy    Policy
	Placement string // one of Placements
	Replicas  int
	Clients   int
	Think     time.Duration // mean of an exponential distribution
	Duration  time.Duration // from the scenario's first event
	Seed      uint64
	// The Controllers have these options, for the replicas that restart.
	DrainDelay, DrainSpread time.Duration
	// Progress is called now and then with how much of Duration has passed.
	Progress func(passed time.Duration)
}

// step is how far the clock moves at once. Requests that are due within it come
// at the same moment.
const step = 250 * time.Millisecond

// Run simulates. The same Config gives the same Result.
func Run(ctx context.Context, cfg Config) (Result, error) {
	w, err := newWorld(cfg)
	if err != nil {
		return Result{}, fmt.Errorf("fleetsim: %w", err)
	}
	w.populate()
	w.schedule(0, cfg.Scenario.begin)
	for end := w.start + cfg.Duration; w.now < end; {
		if err := w.advance(ctx); err != nil {
			return Result{}, fmt.Errorf("fleetsim: %w", err)
		}
	}
	return w.book.result(w), nil
}
