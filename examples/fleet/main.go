// Command fleet simulates what becomes of a fleet's long-lived connections when
// replicas are added, restarted or lost, under different rules for closing
// connections. The rules are the real ones: package core's Controllers and
// package fleet's Shares run on a simulated clock.
//
//	go run ./examples/fleet
//	go run ./examples/fleet -scenario "rolling restart" -plot restart.svg
//
// Its exit status is 2 for a flag that it does not accept.
package main

import (
	"context"
	"fmt"
	"io"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/fleetsim"
)

func main() {
	demonstration.Main(run)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int) {
	return demonstration.Start("fleet", args, stdout, stderr, parse, func(s settings) (status int) {
		return simulate(ctx, s, stdout, stderr, progress)
	})
}

func simulate(ctx context.Context, settings settings, stdout, stderr io.Writer, progress bool) (status int) {
	line := demonstration.NewProgress(stderr, progress)
	results, err := fleetsim.RunAll(ctx, settings.simulations(), func(done float64) {
		line.Show("%3.0f %% simulated", 100*done)
	})
	line.Clear()
	if err == nil {
		err = output(stdout, settings, results)
	}
	if err != nil {
		fmt.Fprintf(stderr, "fleet: %v\n", err)
		return 1
	}
	return 0
}
