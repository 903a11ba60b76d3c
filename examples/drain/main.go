// Command drain restarts a real server again and again under real keep-alive
// traffic, by four methods, and counts the requests that each of them loses.
//
//	go run ./examples/drain
//	go run ./examples/drain -http2 -tls
//	go run ./examples/drain -plot drain.svg
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

	"github.com/politeclose/politeclose/internal/restart"
)

func main() {
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
		fmt.Fprintf(stderr, "drain: %v\n", err)
		return 2
	}
	return measure(ctx, settings, stdout, stderr, progress)
}

func measure(ctx context.Context, settings settings, stdout, stderr io.Writer, progress bool) (status int) {
	var results []restart.Result
	for _, method := range settings.methods {
		traffic := settings.traffic
		traffic.Method = method
		if progress {
			traffic.Progress = func(r restart.Result) {
				fmt.Fprintf(stderr, "\r\x1b[K%s: restart %d of %d, %d of %d requests lost",
					r.Method, r.Restarts, traffic.Restarts, r.Lost, r.Requests)
			}
		}
		result, err := restart.Run(ctx, traffic)
		if progress {
			fmt.Fprint(stderr, "\r\x1b[K")
		}
		results = append(results, result)
		if method.Name == polite && result.Lost > 0 {
			status = 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "drain: %s: %v\n", method.Name, err)
			status = 1
			break
		}
	}

	write := writeTable
	if settings.json {
		write = writeJSON
	}
	err := write(stdout, settings.traffic, results)
	if err == nil && settings.plot != "" {
		err = writePlot(settings.plot, settings.traffic, results)
	}
	if err != nil {
		fmt.Fprintf(stderr, "drain: %v\n", err)
		return 1
	}
	return status
}

// isTerminal keeps the progress line out of files and pipes.
func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
