package main

import (
	"fmt"
	"io"
	"time"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/fleetsim"
)

func output(w io.Writer, s settings, results []fleetsim.Result) error {
	if s.plot != "" {
		err := demonstration.WriteFile(s.plot, func(w io.Writer) error { return fleetsim.Plot(w, results) })
		if err != nil {
			return err
		}
	}
	if s.json {
		return demonstration.WriteJSON(w, results)
	}
	return writeTable(w, s, results)
}

func writeTable(w io.Writer, s settings, results []fleetsim.Result) error {
	out := &demonstration.Printer{W: w}
	out.Printf("%d replicas, %d clients, %v mean think time, %s, seed %d\n",
		s.Replicas, s.Clients, s.Think, s.Placement, s.Seed)
	const columns = "%-15s | %8v %7v | %7v %7v | %7v %6v | %7v\n"
	scenario := ""
	for _, r := range results {
		if r.Scenario != scenario {
			scenario = r.Scenario
			out.Printf("\n%s\n", scenario)
			out.Printf(columns, "", "new 90 %", "closes", "closes", "at end", "largest", "at end", "moves")
			out.Printf(columns, "policy", "after", "until", "in all", "/s", "5m on", "/mean", "/client")
		}
		balanced := "never"
		if r.Balanced >= 0 {
			balanced = (time.Duration(r.Balanced * float64(time.Second))).String()
		}
		out.Printf(columns, r.Policy, balanced, r.ClosesUntil, r.Closes,
			fmt.Sprintf("%.2f", r.EndRate), fmt.Sprintf("%.2f", r.LargestAfter), fmt.Sprintf("%.2f", r.LargestAtEnd),
			fmt.Sprintf("%.2f", r.Moves))
	}
	out.Printf("\nCloses are those by the rule. \"At end\" is the last third of the time; 5m on is\n" +
		"five minutes after the scenario's last event.\n")
	return out.Err
}
