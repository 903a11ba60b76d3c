package main

import (
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/flagvalue"
	"github.com/politeclose/politeclose/internal/overload"
)

// settings is what the flags say.
type settings struct {
	overload.Config // without a rule
	rules           []overload.Rule
	alone           bool
	json            bool
}

const all = "all"

// parse is as [demonstration.Flags.Parse].
func parse(args []string, usage io.Writer) (settings, error) {
	s := settings{Config: overload.Config{
		Clients:   240,
		Think:     190 * time.Millisecond,
		Service:   10 * time.Millisecond,
		Workers:   10,
		Slow:      1,
		Duration:  12 * time.Second,
		Balancing: overload.RoundRobin,
		Soft:      10,
		Hard:      20,
	}}
	known := []overload.Rule{overload.None(), overload.Politeclose(), overload.CoinToss()}
	names := []string{all}
	for _, rule := range known {
		names = append(names, rule.Name)
	}
	rule, haproxy := all, false

	flags := demonstration.NewFlags("overload", "Shows what closing connections does for clients of an overloaded replica.\n"+
		"It serves three replicas and a balancer on ports of 127.0.0.1, to its own clients.")
	flags.Var(flagvalue.Whole(&s.Clients, 1, 4096), "clients", "keep-alive `connections`, one client each")
	flags.Var(flagvalue.Duration(&s.Think, 0, 2*time.Second), "think", "`time` from an answer to the client's next request")
	flags.Var(flagvalue.Duration(&s.Service, 0, 2*time.Second), "service", "`time` that a worker needs for a request")
	flags.Var(flagvalue.Whole(&s.Workers, 10, 1000), "workers", "`workers` of a replica; a slow one has a tenth")
	flags.Var(flagvalue.Whole(&s.Slow, 0, overload.Replicas), "slow", "how many `replicas` of the three are slow")
	flags.Var(flagvalue.Duration(&s.Duration, 3*time.Second, 10*time.Minute), "duration", "`time` for each rule")
	flags.Var(flagvalue.OneOf(&s.Balancing, []string{overload.RoundRobin, overload.LeastConnections}), "balancing",
		"the balancer's `policy`: "+overload.RoundRobin+", "+overload.LeastConnections)
	flags.Var(flagvalue.Whole(&s.Soft, 0, 4096), "soft", "`requests` in flight on a replica from which some connections have to go")
	flags.Var(flagvalue.Whole(&s.Hard, 1, 4096), "hard", "`requests` in flight from which most have to")
	flags.Var(flagvalue.OneOf(&rule, names), "rule", "the `rule` to try: "+flagvalue.List(names))
	flags.BoolFunc("haproxy", "balance with HAProxy in tcp mode instead of the built-in balancer", flagvalue.Bool(&haproxy))
	flags.BoolFunc("tls", "serve HTTPS", flagvalue.Bool(&s.TLS))
	flags.BoolFunc("alone", "one TLS server that computes instead: nobody else is there to take its load;\n"+
		"clients ask without a pause", flagvalue.Bool(&s.alone))
	flags.BoolFunc("json", "print JSON instead of tables", flagvalue.Bool(&s.json))

	err := flags.Parse(args, usage)
	switch {
	case err != nil:
		return settings{}, err
	case s.Soft >= s.Hard:
		return settings{}, fmt.Errorf("-soft %d and -hard %d: soft must be less than hard", s.Soft, s.Hard)
	}
	if s.alone {
		s.Think, s.TLS = 0, true
	}
	if haproxy {
		if s.HAProxy, err = exec.LookPath("haproxy"); err != nil {
			return settings{}, fmt.Errorf("-haproxy: %w", err)
		}
	}
	for _, r := range known {
		if rule == all || rule == r.Name {
			s.rules = append(s.rules, r)
		}
	}
	return s, nil
}
