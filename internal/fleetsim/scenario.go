package fleetsim

import "time"

// Scenario is what happens to the fleet.
type Scenario struct {
	Name string
	// Duration is how long it should be watched.
	Duration time.Duration
	// initial is how many of the replicas there are at first.
	initial func(replicas int) int
	begin   func(*world) error
}

// Scenarios are those that are compared.
func Scenarios() []Scenario {
	return []Scenario{
		{"scale-out", 30 * time.Minute, fourFifths, scaleOut},
		{"rolling restart", 30 * time.Minute, all, func(w *world) error { return restartBy(w, 1) }},
		{"restart by quarters", 10 * time.Minute, all, func(w *world) error { return restartBy(w, max(w.Replicas/4, 1)) }},
		{"crash of a tenth", 20 * time.Minute, all, crash},
		{"slow replica", 20 * time.Minute, all, slowReplica},
		{"flapping readiness", 20 * time.Minute, all, flap},
		{"nobody answers", 20 * time.Minute, fourFifths, nobodyAnswers},
	}
}

func all(replicas int) int        { return replicas }
func fourFifths(replicas int) int { return replicas * 4 / 5 }

func scaleOut(w *world) error {
	for len(w.replicas) < w.Replicas {
		if err := w.addReplica(); err != nil {
			return err
		}
	}
	return nil
}

const (
	// notice is how long a balancer takes to notice that readiness fails.
	notice = 2 * time.Second
	// Restart is how long a replica drains, after which it is replaced.
	Restart = 10 * time.Second
)

// restartBy replaces so many replicas at once, and the next ones when they have
// been. While one drains it announces to everybody who asks, after the DrainDelay
// and over the DrainSpread; who has not asked at the end finds its connection closed.
func restartBy(w *world, n int) error {
	old := w.balancer.ready
	var next func(*world)
	next = func(w *world) {
		if len(old) == 0 {
			w.book.eventful(w)
			return
		}
		these := old[:min(n, len(old))]
		old = old[len(these):]
		for _, r := range these {
			r.ctl.Drain()
			w.schedule(notice, func(w *world) error { w.balancer.remove(r); return nil })
		}
		w.schedule(Restart, func(w *world) error {
			for _, r := range these {
				w.stop(r)
				if err := w.addReplica(); err != nil {
					return err
				}
			}
			next(w)
			return nil
		})
	}
	next(w)
	return nil
}

func crash(w *world) error {
	for _, r := range w.balancer.ready[:w.Replicas/10] {
		w.stop(r)
	}
	return nil
}

// slowReplica lets one replica be too slow for its peers.
func slowReplica(w *world) error {
	w.replicas[0].mute = true
	return nil
}

// flap lets the readiness of a tenth of the replicas come and go every ten
// seconds.
func flap(w *world) error {
	some := w.balancer.ready[:w.Replicas/10]
	ready := true
	var again func(*world)
	again = func(w *world) {
		ready = !ready
		for _, r := range some {
			if ready {
				w.balancer.add(r)
			} else {
				w.balancer.remove(r)
			}
		}
		w.schedule(10*time.Second, func(w *world) error { again(w); return nil })
	}
	again(w)
	return nil
}

func nobodyAnswers(w *world) error {
	w.silent = true
	return scaleOut(w)
}
