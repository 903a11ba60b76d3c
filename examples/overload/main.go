// Command overload puts three replicas behind a balancer that assigns
// connections once, gives one of them a tenth of the others' capacity, and shows
// second by second what becomes of clients on keep-alive connections: without a
// rule for load, with politeclose's, and with a coin toss per response.
//
//	go run ./examples/overload
//
// Its exit status is 1 if politeclose lost a request or a run failed, 2 for a
// flag that it does not accept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/politeclose/politeclose/internal/overload"
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
		fmt.Fprintf(stderr, "overload: %v\n", err)
		return 2
	}
	out := &printer{w: stdout, settings: settings}
	out.start()
	for _, rule := range settings.rules {
		cfg := settings.Config
		cfg.Rule = rule
		out.rule(&cfg)
		start := overload.Run
		if settings.alone {
			start = overload.RunAlone
		}
		result, err := start(ctx, cfg)
		out.results = append(out.results, result)
		if err != nil {
			fmt.Fprintf(stderr, "overload: %s: %v\n", rule.Name, err)
			status = 1
			break
		}
		if rule.Name == overload.Politeclose().Name && result.Lost > 0 {
			status = 1
		}
	}
	if err := out.end(); err != nil {
		fmt.Fprintf(stderr, "overload: %v\n", err)
		return 1
	}
	return status
}
