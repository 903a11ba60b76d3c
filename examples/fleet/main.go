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
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/politeclose/politeclose/internal/fleetsim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	settings, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "fleet: %v\n", err)
		return 2
	}
	results, err := fleetsim.RunAll(ctx, settings.simulations(), func(done float64) {
		fmt.Fprintf(stderr, "\r%3.0f %% simulated", 100*done)
	})
	fmt.Fprintln(stderr)
	if err == nil {
		err = output(stdout, settings, results)
	}
	if err != nil {
		fmt.Fprintf(stderr, "fleet: %v\n", err)
		return 1
	}
	return 0
}
