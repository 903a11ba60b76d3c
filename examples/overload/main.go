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
	"fmt"
	"io"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/overload"
)

func main() {
	demonstration.Main(run)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, _ bool) (status int) {
	return demonstration.Start("overload", args, stdout, stderr, parse, func(s settings) (status int) {
		return compare(ctx, s, stdout, stderr)
	})
}

func compare(ctx context.Context, settings settings, stdout, stderr io.Writer) (status int) {
	out := &printer{Printer: demonstration.Printer{W: stdout}, settings: settings}
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
		if err != nil { // what it has measured is of a part of its time
			fmt.Fprintf(stderr, "overload: %s: %v\n", rule.Name, err)
			status = 1
			break
		}
		out.results = append(out.results, result)
		if rule.Name == overload.Politeclose().Name && result.Lost > 0 {
			status = 1
		}
	}
	if len(out.results) == 0 {
		return status
	}
	if err := out.end(); err != nil {
		fmt.Fprintf(stderr, "overload: %v\n", err)
		return 1
	}
	return status
}
