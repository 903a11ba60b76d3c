//go:build unix

// Command restart restarts a program again and again while clients use it, and
// counts what each of three ways costs them to leave the address to the next
// process. The program starts its own next version on SIGHUP, waits until that one
// listens, and leaves; nothing is handed over.
//
//	go run ./examples/restart
//
// Half of the clients keep their connections, and half connect for each request.
// The exit status is 1 if ReusePort lost, refused or delayed a request or a run
// failed, 2 for a flag that it does not accept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

func main() {
	if isServer() {
		os.Exit(server())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr, isTerminal(os.Stderr))
	stop()
	os.Exit(status)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int) {
	settings, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "restart: %v\n", err)
		return 2
	}
	return measure(ctx, settings, stdout, stderr, progress)
}

func measure(ctx context.Context, settings settings, stdout, stderr io.Writer, progress bool) (status int) {
	var results []result
	for _, way := range settings.ways {
		report := func(result) {}
		if progress {
			report = func(r result) {
				all := r.all()
				fmt.Fprintf(stderr, "\r\x1b[K%s: restart %d of %d, %d requests: %d lost, %d refused, %d delayed",
					r.way, r.restarts, settings.restarts, all.Requests, all.Lost, all.Refused, all.Delayed)
			}
		}
		result, err := measureOne(ctx, way, settings, report)
		if progress {
			fmt.Fprint(stderr, "\r\x1b[K")
		}
		results = append(results, result)
		if way.name == best && !result.unnoticed() {
			status = 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "restart: %s: %v\n", way.name, err)
			status = 1
			break
		}
	}
	if err := writeTable(stdout, settings, results); err != nil {
		fmt.Fprintf(stderr, "restart: %v\n", err)
		return 1
	}
	return status
}

// isTerminal keeps the progress line out of files and pipes.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
