//go:build unix

// Command restart restarts a program again and again while clients use it, and
// counts what each of three ways costs them to leave the address to the next
// process. The program starts its own next version on SIGHUP, waits until that one
// listens, and leaves; nothing is handed over.
//
//	go run ./examples/restart
//
// Half of the clients keep their connections, and half connect for each request.
// The exit status is 1 if ReusePort lost or refused a request or a run failed, 2 for
// a flag that it does not accept. A busy machine delays a request as well.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/politeclose/politeclose/internal/demonstration"
)

func main() {
	if isServer() {
		os.Exit(server())
	}
	demonstration.Main(run)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int) {
	return demonstration.Start("restart", args, stdout, stderr, parse, func(s settings) (status int) {
		return measure(ctx, s, stdout, stderr, progress)
	})
}

func measure(ctx context.Context, settings settings, stdout, stderr io.Writer, progress bool) (status int) {
	var results []result // of a restart at least: nothing is known of the others
	line := demonstration.NewProgress(stderr, progress)
	for _, way := range settings.ways {
		report := func(r result) {
			all := r.all()
			line.Show("%s: restart %d of %d, %d requests: %d lost, %d refused, %d delayed",
				r.way, r.restarts, settings.restarts, all.Requests, all.Lost, all.Refused, all.Delayed)
		}
		result, err := measureOne(ctx, way, settings, report)
		line.Clear()
		if result.restarts > 0 {
			results = append(results, result)
		}
		if way.name == best && !result.answered() {
			status = 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "restart: %s: %v\n", way.name, err)
			status = 1
			break
		}
	}
	if len(results) == 0 {
		return status
	}
	if err := writeTable(stdout, settings, results); err != nil {
		fmt.Fprintf(stderr, "restart: %v\n", err)
		return 1
	}
	return status
}
