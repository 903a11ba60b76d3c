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
	"fmt"
	"io"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/restart"
)

func main() {
	demonstration.Main(run)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int) {
	return demonstration.Start("drain", args, stdout, stderr, parse, func(s settings) (status int) {
		return measure(ctx, s, stdout, stderr, progress)
	})
}

func measure(ctx context.Context, settings settings, stdout, stderr io.Writer, progress bool) (status int) {
	var results []restart.Result // of a restart at least: nothing is known of the others
	line := demonstration.NewProgress(stderr, progress)
	for _, method := range settings.methods {
		traffic := settings.traffic
		traffic.Method = method
		traffic.Progress = func(r restart.Result) {
			line.Show("%s: restart %d of %d, %d of %d requests lost",
				r.Method, r.Restarts, traffic.Restarts, r.Lost, r.Requests)
		}
		result, err := restart.Run(ctx, traffic)
		line.Clear()
		if result.Restarts > 0 {
			results = append(results, result)
		}
		if method.Name == polite && result.Lost > 0 {
			status = 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "drain: %s: %v\n", method.Name, err)
			status = 1
			break
		}
	}

	if len(results) == 0 {
		return status
	}
	write := writeTable
	if settings.json {
		write = writeJSON
	}
	err := write(stdout, settings.traffic, results)
	if err == nil && settings.plot != "" {
		err = demonstration.WriteFile(settings.plot, func(w io.Writer) error { return plot(w, settings.traffic, results) })
	}
	if err != nil {
		fmt.Fprintf(stderr, "drain: %v\n", err)
		return 1
	}
	return status
}
