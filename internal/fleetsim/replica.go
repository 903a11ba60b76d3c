package fleetsim

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/fleet"
)

// replica is one server: a real Controller and a real Share.
type replica struct {
	name        string
	ctl         *core.Controller
	connections int

	up   bool // its process runs
	mute bool // it does not answer its peers in time

	share   *fleet.Share // nil where the policy has none
	answers http.Handler
	polls   time.Duration // when next
}

const pollInterval = 5 * time.Second

var quiet = slog.New(slog.DiscardHandler)

// addReplica starts a replica, which is ready at once.
func (w *world) addReplica() error {
	number := len(w.replicas)
	r := &replica{name: fmt.Sprintf("replica-%d:80", number), up: true}
	seed := w.Seed<<16 + uint64(number)
	clock := func() time.Duration { return w.now }
	options := []core.Option{
		core.Simulated(clock, seed), core.Logger(quiet), core.Budget(budget, 2*budget), core.DrainDelay(w.DrainDelay), core.DrainSpread(w.DrainSpread),
	}
	if w.Policy.age > 0 {
		options = append(options, core.OnAge(w.Policy.age))
	}
	var err error
	if w.Policy.excess {
		r.share, err = fleet.NewShare(w.peers, fleet.Interval(pollInterval), fleet.Logger(quiet),
			fleet.Client(&http.Client{Transport: (*network)(w)}), fleet.Simulated(clock, seed))
		if err != nil {
			return err
		}
		options = append(options, core.OnExcess(r.share.FairShare))
	}
	if r.ctl, err = core.New(options...); err != nil {
		return err
	}
	if r.share != nil {
		r.answers = r.share.Handler(r.ctl)
		r.polls = w.now + time.Duration(w.random.Float64()*float64(pollInterval))
	}
	w.replicas = append(w.replicas, r)
	w.balancer.add(r)
	return nil
}

// budget is the default's on two cores, on any machine.
const budget = 20

// peers are the addresses of a headless Service: those that are ready.
func (w *world) peers(context.Context) ([]string, error) {
	names := make([]string, len(w.balancer.ready))
	for i, r := range w.balancer.ready {
		names[i] = r.name
	}
	return names, nil
}

// pollIfDue does what Share.Run does, with the simulation's clock.
func (r *replica) pollIfDue(ctx context.Context, w *world) {
	if r.share == nil || !r.up || w.now < r.polls {
		return
	}
	r.polls = w.now + time.Duration(float64(pollInterval)*(0.9+0.2*w.random.Float64()))
	// A poll that fails leaves the share unknown, which is all that
	// follows.
	_ = r.share.Poll(ctx)
	w.book.polls++
}

// stop ends the replica's process, and with it what connections it has left.
func (w *world) stop(r *replica) {
	w.balancer.remove(r)
	r.up = false
	for i := range w.clients {
		if c := &w.clients[i]; c.replica == r {
			c.disconnect()
		}
	}
}
