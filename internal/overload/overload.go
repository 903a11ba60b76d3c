// Package overload puts replicas of a server behind a balancer that assigns
// connections once, gives one of them less capacity than it needs, and watches
// what that does to clients that stay on their connections.
package overload

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/politeclose/politeclose/internal/balancer"
)

// Config is one experiment. All of it must be set, but for TLS and HAProxy.
type Config struct {
	Clients  int           // connections, each with one request at a time
	Think    time.Duration // from an answer to the client's next request
	Service  time.Duration // that a worker needs for a request
	Workers  int           // of a replica; requests beyond them queue
	Slow     int           // how many of the three replicas have a tenth of the workers
	Duration time.Duration
	TLS      bool

	Balancing string // RoundRobin or LeastConnections
	HAProxy   string // the program to balance with; "" for the built-in balancer

	Soft, Hard int // requests in flight on a replica
	Rule       Rule
	// Progress is called after every second, unless it is nil.
	Progress func(Second)
}

// How the balancer assigns connections.
const (
	RoundRobin       = "round-robin"
	LeastConnections = "least-connections"
)

// Replicas is how many there are.
const Replicas = 3

// Run runs the experiment. It returns when everything that it started has ended.
func Run(ctx context.Context, cfg Config) (result Result, err error) {
	book := newBook(Replicas)
	addresses := make([]string, Replicas)
	for i := range Replicas {
		workers := cfg.Workers
		if i >= Replicas-cfg.Slow {
			workers /= 10
		}
		replica, err := startReplica(cfg, i, queue(workers, cfg.Service))
		if err != nil {
			return Result{}, err
		}
		defer replica.stop()
		book.replicas[i], addresses[i] = replica, replica.address
	}
	address, stop, err := balance(cfg, addresses)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return book.watch(ctx, cfg, address)
}

// balance starts the balancer and returns where it listens.
func balance(cfg Config, backends []string) (address string, stop func() error, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("overload: %w", err)
	}
	if cfg.HAProxy != "" {
		stop, err = startHAProxy(cfg, l.(*net.TCPListener), backends)
		return l.Addr().String(), stop, err
	}
	policy := balancer.RoundRobin()
	if cfg.Balancing == LeastConnections {
		policy = balancer.LeastConnections()
	}
	b := balancer.Start(l, policy, backends...)
	return l.Addr().String(), func() error { b.Close(); return nil }, nil
}
