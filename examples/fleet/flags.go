package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/flagvalue"
	"github.com/politeclose/politeclose/internal/fleetsim"
)

// settings is what the flags say.
type settings struct {
	fleetsim.Config // without a scenario and a policy
	scenarios       []fleetsim.Scenario
	policies        []fleetsim.Policy
	duration        time.Duration // 0 = each scenario's own
	plot            string
	json            bool
}

const all = "all"

// parse is as [demonstration.Flags.Parse].
func parse(args []string, usage io.Writer) (settings, error) {
	s := settings{Config: fleetsim.Config{
		Placement: fleetsim.LeastConnections,
		Replicas:  100,
		Clients:   100_000,
		Think:     10 * time.Second,
	}}
	scenarios, policies := fleetsim.Scenarios(), fleetsim.Policies()
	scenarioNames, policyNames := []string{all}, []string{all}
	for _, scenario := range scenarios {
		scenarioNames = append(scenarioNames, scenario.Name)
	}
	for _, policy := range policies {
		policyNames = append(policyNames, policy.Name)
	}
	scenario, policy, seed := scenarios[0].Name, all, "1"

	flags := demonstration.NewFlags("fleet", "Simulates a fleet of replicas under different rules for closing connections.\n"+
		"It serves nothing: connections and time are simulated.")
	flags.Var(flagvalue.Whole(&s.Replicas, 10, 10_000), "replicas", "how many `replicas` the fleet has in the end")
	flags.Var(flagvalue.Whole(&s.Clients, 10, 10_000_000), "clients", "keep-alive `connections`, one client each")
	flags.Var(flagvalue.Duration(&s.Think, time.Second, time.Hour), "think", "mean `time` from an answer to the client's next request")
	flags.Var(flagvalue.OneOf(&s.Placement, fleetsim.Placements()), "placement",
		"how the balancer chooses a `replica`: "+flagvalue.List(fleetsim.Placements()))
	flags.Var(flagvalue.OneOf(&scenario, scenarioNames), "scenario", "what `happens`: "+flagvalue.List(scenarioNames))
	flags.Var(flagvalue.OneOf(&policy, policyNames), "policy", "the `rule`: "+flagvalue.List(policyNames))
	flags.Var(flagvalue.Duration(&s.duration, time.Second, 24*time.Hour), "duration", "simulated `time`, in place of the scenario's own")
	flags.Var(flagvalue.Duration(&s.DrainDelay, 0, fleetsim.Restart), "drain-delay", "`time` before a replica that restarts announces (core.DrainDelay)")
	flags.Var(flagvalue.Duration(&s.DrainSpread, 0, fleetsim.Restart), "drain-spread", "`time` over which a replica that restarts announces (core.DrainSpread)")
	flags.StringVar(&seed, "seed", seed, "`number` from which all chance comes; the same gives the same result")
	flags.Var(flagvalue.File(&s.plot), "plot", "SVG `file` to write, with the connections of each replica over time")
	flags.BoolFunc("json", "print JSON instead of a table", flagvalue.Bool(&s.json))

	err := flags.Parse(args, usage)
	if err != nil {
		return settings{}, err
	}
	if s.Seed, err = strconv.ParseUint(seed, 10, 64); err != nil {
		return settings{}, fmt.Errorf("invalid value %q for flag -seed: allowed is a whole number from 0", seed)
	}
	for _, sc := range scenarios {
		if scenario == all || scenario == sc.Name {
			s.scenarios = append(s.scenarios, sc)
		}
	}
	for _, p := range policies {
		if policy == all || policy == p.Name {
			s.policies = append(s.policies, p)
		}
	}
	return s, nil
}

// simulations are all scenarios with all policies.
func (s *settings) simulations() (all []fleetsim.Config) {
	for _, scenario := range s.scenarios {
		for _, policy := range s.policies {
			cfg := s.Config
			cfg.Scenario, cfg.Policy, cfg.Duration = scenario, policy, scenario.Duration
			if s.duration > 0 {
				cfg.Duration = s.duration
			}
			all = append(all, cfg)
		}
	}
	return all
}
