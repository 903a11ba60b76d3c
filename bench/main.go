// Command bench compares politeclose with the bare frameworks and with other
// packages that end connections, and prints the tables as Markdown:
//
//	go run . > ../docs/benchmarks.md
//
// It takes about ten minutes on two cores, and wants a machine that does nothing
// else. With -quick it takes seconds, for a look at the tables alone. It is a
// module of its own, so that nobody who uses politeclose pays for what it is
// compared with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"testing"
	"time"
)

// sizes is how long each part of a run takes.
type sizes struct {
	exchangeRounds int
	exchangeTime   time.Duration // of one arrangement in one round

	triples  int
	sideTime time.Duration // of each side of a triple

	restartRounds int
	restarts      int // of one method in one round
	patience      time.Duration
}

var (
	full  = sizes{31, 20 * time.Millisecond, 21, 200 * time.Millisecond, 5, 4, 2 * time.Second}
	quick = sizes{3, 5 * time.Millisecond, 5, 10 * time.Millisecond, 1, 1, time.Second}
)

func main() {
	if served, err := servesForParent(arrangements); served {
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: the server: %v\n", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (status int) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	short := flags.Bool("quick", false, "seconds instead of minutes: only to see the tables")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "unexpected argument %q: only flags are allowed, -h lists them\n", flags.Arg(0))
		return 2
	}
	testing.Init() // registers what exchanges sets
	size := full
	if *short {
		size = quick
	}
	if err := report(ctx, stdout, stderr, size); err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	return 0
}

// report prints nothing if a part fails: half a report looks like a whole one.
func report(ctx context.Context, stdout, stderr io.Writer, size sizes) error {
	began := time.Now()
	sections := []string{machine(began)}
	for _, section := range []func(context.Context, sizes) (string, error){exchangeSection, throughputSection, processorTimeSection, drainSection} {
		text, err := section(ctx, size)
		if err != nil {
			return err
		}
		sections = append(sections, text)
		fmt.Fprintf(stderr, "bench: %d of 4 parts after %v\n", len(sections)-1, time.Since(began).Round(time.Second))
	}
	compared, err := comparedSection()
	if err != nil {
		return err
	}
	for _, text := range append(sections, compared) {
		if _, err := fmt.Fprintln(stdout, text); err != nil {
			return err
		}
	}
	return nil
}
