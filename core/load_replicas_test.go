//go:build !race

package core

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fleet is replicas behind a balancer that assigns connections once, in fake
// time: what examples/overload shows over sockets, without the machine's noise.
type fleet struct {
	replicas []*fleetReplica
	assign   func([]*fleetReplica) *fleetReplica

	mu     sync.Mutex
	closes []time.Time
	late   []time.Duration // latencies in the last third of the time
}

// fleetReplica serves one request after the other with each of its workers.
type fleetReplica struct {
	ctl         *Controller
	workers     chan struct{}
	connections int
}

const (
	fleetClients = 240
	fleetThink   = 190 * time.Millisecond
	fleetService = 10 * time.Millisecond
	fleetDial    = 2 * time.Millisecond // to a new connection
	fleetTime    = time.Minute
)

// run lets the clients do their work and returns the 99th percentile of all
// latencies in the last third of the time, and the closes in every ten seconds.
func (f *fleet) run() (p99 time.Duration, closes []int) {
	start := time.Now()
	var clients sync.WaitGroup
	for range fleetClients {
		clients.Go(func() {
			time.Sleep(time.Duration(rand.Float64() * float64(fleetThink)))
			f.client(start)
		})
	}
	clients.Wait()
	slices.Sort(f.late)
	closes = make([]int, fleetTime/(10*time.Second))
	for _, at := range f.closes {
		closes[min(int(at.Sub(start)/(10*time.Second)), len(closes)-1)]++
	}
	return f.late[len(f.late)*99/100], closes
}

func (f *fleet) client(start time.Time) {
	for {
		replica, conn := f.connect()
		request := requestOn(conn, "/")
		for closed := false; !closed; {
			time.Sleep(fleetThink)
			asked := time.Now()
			if asked.Sub(start) > fleetTime {
				return
			}
			closed = replica.serve(request)
			if asked.Sub(start) > fleetTime*2/3 {
				f.mu.Lock()
				f.late = append(f.late, time.Since(asked))
				f.mu.Unlock()
			}
		}
		f.disconnect(replica, conn)
		time.Sleep(fleetDial)
	}
}

func (f *fleet) connect() (*fleetReplica, *Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	replica := f.assign(f.replicas)
	replica.connections++
	return replica, openConnection(replica.ctl)
}

func (f *fleet) disconnect(replica *fleetReplica, conn *Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	replica.connections--
	conn.SetState(http.StateClosed)
	f.closes = append(f.closes, time.Now())
}

func (r *fleetReplica) serve(request *http.Request) (closed bool) {
	_, e := r.ctl.Begin(request)
	defer e.End()
	r.workers <- struct{}{}
	time.Sleep(fleetService)
	<-r.workers
	header := make(http.Header)
	e.Commit(header, http.StatusOK)
	return header.Get("Connection") == "close"
}

func roundRobin() func([]*fleetReplica) *fleetReplica {
	next := -1
	return func(all []*fleetReplica) *fleetReplica {
		next = (next + 1) % len(all)
		return all[next]
	}
}

func leastConnections() func([]*fleetReplica) *fleetReplica {
	turn := roundRobin()
	return func(all []*fleetReplica) *fleetReplica {
		best := turn(all)
		for range all {
			if other := turn(all); other.connections < best.connections {
				best = other
			}
		}
		return best
	}
}

func TestReplicasBehindABalancer(t *testing.T) {
	for _, test := range []struct {
		name       string
		assign     func() func([]*fleetReplica) *fleetReplica
		workers    []int
		soft, hard float64
		ratio      float64 // of the 99th percentile, with the rule to without
		atEnd      int     // closes in the last ten seconds at most
	}{
		{"one slow, round robin: its clients go to the others", roundRobin, []int{10, 10, 1}, 10, 20, 0.7, 10},
		{"one slow, least connections: they come back to it", leastConnections, []int{10, 10, 1}, 10, 20, 1.05, 25},
		{"thresholds four times too low", roundRobin, []int{10, 10, 1}, 2.5, 5, 1.05, 75},
		{"thresholds too low, least connections", leastConnections, []int{10, 10, 1}, 2.5, 5, 1.05, 75},
		{"all slow, round robin", roundRobin, []int{1, 1, 1}, 10, 20, 1.05, 75},
		{"all slow, least connections", leastConnections, []int{1, 1, 1}, 10, 20, 1.05, 75},
	} {
		t.Run(test.name, func(t *testing.T) {
			measure := func(rules ...Option) (p99 time.Duration, closes []int) {
				synctest.Test(t, func(t *testing.T) {
					f := &fleet{assign: test.assign()}
					for _, workers := range test.workers {
						ctl := newController(t, append(rules, Budget(20, 40))...)
						f.replicas = append(f.replicas, &fleetReplica{ctl: ctl, workers: make(chan struct{}, workers)})
					}
					p99, closes = f.run()
				})
				return p99, closes
			}
			without, _ := measure()
			rule := OnLoad(Signal{"in_flight", test.soft, test.hard,
				func(s Snapshot) (float64, error) { return float64(s.InFlight), nil }})
			// Where a few clients more or less come to stay is chance.
			var several []time.Duration
			for range 3 {
				p99, closes := measure(rule)
				several = append(several, p99)
				t.Logf("99th percentile %v without, %v with the rule; closes in every ten seconds: %v", without, p99, closes)
				if last := closes[len(closes)-1]; last > test.atEnd {
					t.Errorf("%v closes in every ten seconds, want %d at most in the last", closes, test.atEnd)
				}
			}
			slices.Sort(several)
			with := several[1]
			if with.Seconds() > test.ratio*without.Seconds() {
				t.Errorf("the 99th percentile is %v with the rule, %v without", with, without)
			}
		})
	}
}
