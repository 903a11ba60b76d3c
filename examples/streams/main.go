// Command streams restarts a real server again and again under server-sent events
// and WebSockets, with politeclose and with plain Shutdown, and counts the
// messages that are lost or doubled.
//
//	cd examples/streams && go run .
//
// The handlers are in app.go. The clients are Go's and, where it is installed, the
// ones that Node has built in.
//
// Its exit status is 1 if politeclose lost or doubled a message, or cut a stream,
// or if a run failed; 2 for a flag that it does not accept.
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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt kills
	status := start(ctx, os.Args[1:], os.Stdout, os.Stderr, isTerminal(os.Stderr))
	stop()
	os.Exit(status)
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int) {
	settings, err := parse(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "streams: %v\n", err)
		return 2
	}
	return compare(ctx, settings, stdout, stderr, progress)
}

func compare(ctx context.Context, s settings, stdout, stderr io.Writer, progress bool) (status int) {
	var results []result
	for _, method := range s.methods {
		if progress {
			s.progress = func(r result) {
				fmt.Fprintf(stderr, "\r\x1b[K%s: restart %d of %d", r.method, len(r.drains), s.Restarts)
			}
		}
		result, err := measure(ctx, s.config, method)
		if progress {
			fmt.Fprint(stderr, "\r\x1b[K")
		}
		results = append(results, result)
		if method.name == polite && result.failed() {
			status = 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "streams: %s: %v\n", method.name, err)
			status = 1
			break
		}
	}

	write := writeTable
	if s.json {
		write = writeJSON
	}
	if err := write(stdout, s, results); err != nil {
		fmt.Fprintf(stderr, "streams: %v\n", err)
		return 1
	}
	return status
}

// isTerminal keeps the progress line out of files and pipes.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
