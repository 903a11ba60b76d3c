package fleetsim

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// world is a fleet, its clients and the time.
type world struct {
	Config
	now      time.Duration
	start    time.Duration // of the scenario; before it the clients have come
	random   *rand.Rand
	replicas []*replica // all that there ever were, in the order in which they came
	balancer balancer
	clients  []client
	due      []time.Duration // each client's next request; apart, since all are looked at in each step
	events   []event
	book     book
	silent   bool // nobody answers a peer
}

// event is what a scenario does at some time.
type event struct {
	at time.Duration
	do func(*world) error
}

func newWorld(cfg Config) (*world, error) {
	w := &world{Config: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 1))}
	w.start = cfg.Policy.warmUp()
	w.balancer.policy = placements[cfg.Placement](w.random)
	for range cfg.Scenario.initial(cfg.Replicas) {
		if err := w.addReplica(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// populate lets the clients come, spread over the time before the scenario, so
// that their connections are of all ages.
func (w *world) populate() {
	w.clients = make([]client, w.Clients)
	w.due = make([]time.Duration, w.Clients)
	for i := range w.clients {
		w.now = time.Duration(float64(w.start) * float64(i) / float64(w.Clients))
		c := &w.clients[i]
		c.init()
		c.connect(w)
		w.due[i] = w.start + w.think()
	}
	w.now = w.start
	w.book.begin(w)
}

// schedule lets something happen after some time.
func (w *world) schedule(after time.Duration, do func(*world) error) {
	w.events = append(w.events, event{w.now + after, do})
	slices.SortStableFunc(w.events, func(a, b event) int { return int(a.at - b.at) })
}

// advance moves the clock by a step.
func (w *world) advance(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for len(w.events) > 0 && w.events[0].at <= w.now {
		do := w.events[0].do
		w.events = w.events[1:]
		if err := do(w); err != nil {
			return err
		}
	}
	for _, r := range w.replicas {
		r.pollIfDue(ctx, w)
	}
	for i, due := range w.due {
		if due <= w.now {
			w.due[i] = w.now + w.think()
			w.clients[i].request(w)
		}
	}
	w.now += step
	w.book.note(w)
	return nil
}

func (w *world) think() time.Duration {
	return time.Duration(w.random.ExpFloat64() * float64(w.Think))
}
