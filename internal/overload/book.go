package overload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Result is what happened under one Rule.
type Result struct {
	Rule     string
	Seconds  []Second
	Requests int           // answered
	Lost     int           // sent and not answered
	LostTo   string        // the first error, where one was lost
	Dials    int           // connections made, the first ones included
	DialTime time.Duration // of all dials, handshakes included
	Closes   int           // connections ended by the rule
	HeldBack uint64        // closes that the budget refused
	// LastThird has the latencies of all clients in the last third of the time.
	LastThird Latency
}

// Second is one second of an experiment.
type Second struct {
	Number   int // from 1
	Replicas []ReplicaSecond
	Dials    int
	Closes   int // connections ended by the rule
}

// ReplicaSecond is one second of a replica.
type ReplicaSecond struct {
	Connections int // at the end of the second
	Requests    int
	Latency     Latency
}

// Latency has percentiles of times from sending a request to having its whole
// answer, a new connection included where one was needed.
type Latency struct{ P50, P99 time.Duration }

// book takes notes for the clients.
type book struct {
	replicas []*replica

	mu       sync.Mutex
	current  [][]time.Duration // latencies of this second by replica
	all      []time.Duration   // latencies since the last third began
	keepAll  bool
	requests int
	lostNow  int
	lostTo   string
	dials    int
	dialTime time.Duration
}

func newBook(replicas int) *book {
	return &book{replicas: make([]*replica, replicas), current: make([][]time.Duration, replicas)}
}

func (b *book) answered(replica int, latency time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests++
	b.current[replica] = append(b.current[replica], latency)
	if b.keepAll {
		b.all = append(b.all, latency)
	}
}

func (b *book) lost(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lostNow == 0 {
		b.lostTo = err.Error()
	}
	b.lostNow++
}

func (b *book) dialed(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dials++
	b.dialTime += took
}

// watch runs the clients for cfg.Duration and returns what happened.
func (b *book) watch(ctx context.Context, cfg Config, address string) (Result, error) {
	stopClients := startClients(cfg, address, b)
	result := Result{Rule: cfg.Rule.Name}
	seconds := int(cfg.Duration / time.Second)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var dials, closes int
	for number := 1; number <= seconds; number++ {
		b.keep(number > seconds-seconds/3)
		select {
		case <-tick.C:
		case <-ctx.Done():
			stopClients()
			return result, fmt.Errorf("overload: %w", context.Cause(ctx))
		}
		second := b.second(number)
		second.Dials, dials = second.Dials-dials, second.Dials
		second.Closes, closes = second.Closes-closes, second.Closes
		result.Seconds = append(result.Seconds, second)
		if cfg.Progress != nil {
			cfg.Progress(second)
		}
	}
	b.mu.Lock()
	result.LastThird = latencyOf(b.all)
	result.Requests = b.requests
	b.mu.Unlock()

	stopClients()
	result.Lost, result.LostTo = b.lostNow, b.lostTo
	result.Dials, result.DialTime = b.dials, b.dialTime
	for _, r := range b.replicas {
		result.Closes += r.closes()
		result.HeldBack += r.ctl.Stats().HeldBack
	}
	return result, nil
}

func (b *book) keep(all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keepAll = all
}

// second ends a second. Its Dials and Closes are those since the start.
func (b *book) second(number int) Second {
	s := Second{Number: number}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, r := range b.replicas {
		s.Replicas = append(s.Replicas, ReplicaSecond{
			Connections: r.ctl.Stats().Open,
			Requests:    len(b.current[i]),
			Latency:     latencyOf(b.current[i]),
		})
		b.current[i] = b.current[i][:0]
		s.Closes += r.closes()
	}
	s.Dials = b.dials
	return s
}

// latencyOf sorts its argument.
func latencyOf(all []time.Duration) Latency {
	if len(all) == 0 {
		return Latency{}
	}
	slices.Sort(all)
	at := func(p float64) time.Duration { return all[int(p*float64(len(all)-1))] }
	return Latency{P50: at(0.5), P99: at(0.99)}
}
