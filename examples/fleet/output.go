package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/politeclose/politeclose/internal/fleetsim"
)

func output(w io.Writer, s settings, results []fleetsim.Result) error {
	if s.plot != "" {
		if err := writePlot(s.plot, results); err != nil {
			return err
		}
	}
	if s.json {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(results)
	}
	return writeTable(w, s, results)
}

func writeTable(w io.Writer, s settings, results []fleetsim.Result) error {
	text := fmt.Sprintf("%d replicas, %d clients, %v mean think time, %s, seed %d\n",
		s.Replicas, s.Clients, s.Think, s.Placement, s.Seed)
	const columns = "%-20s %-15s | %9s %9s | %9s %9s | %8s %8s | %7s\n"
	text += fmt.Sprintf(columns, "", "", "new: 90 %", "closes", "closes", "at end", "largest", "at end", "moves")
	text += fmt.Sprintf(columns, "scenario", "policy", "after", "until", "in all", "/s", "5m after", "/mean", "/client")
	for _, r := range results {
		balanced := "never"
		if r.Balanced >= 0 {
			balanced = (time.Duration(r.Balanced * float64(time.Second))).String()
		}
		text += fmt.Sprintf(columns, r.Scenario, r.Policy, balanced, fmt.Sprint(r.ClosesUntil), fmt.Sprint(r.Closes),
			fmt.Sprintf("%.2f", r.EndRate), fmt.Sprintf("%.2f", r.LargestAfter), fmt.Sprintf("%.2f", r.LargestAtEnd),
			fmt.Sprintf("%.2f", r.Moves))
	}
	text += "\nCloses are those by the rule. \"At end\" is the last third of the time; 5m after is after the scenario's last event.\n"
	_, err := io.WriteString(w, text)
	return err
}

func writePlot(name string, results []fleetsim.Result) (err error) {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	return fleetsim.Plot(file, results)
}
