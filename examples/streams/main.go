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
	"fmt"
	"io"

	"github.com/politeclose/politeclose/internal/demonstration"
)

func main() {
	demonstration.Main(start)
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer, progress bool) (status int) {
	return demonstration.Start("streams", args, stdout, stderr, parse, func(s settings) (status int) {
		return compare(ctx, s, stdout, stderr, progress)
	})
}

func compare(ctx context.Context, s settings, stdout, stderr io.Writer, progress bool) (status int) {
	var results []result // of a restart at least: nothing is known of the others
	line := demonstration.NewProgress(stderr, progress)
	for _, method := range s.methods {
		s.progress = func(r result) { line.Show("%s: restart %d of %d", r.method, len(r.drains), s.Restarts) }
		result, err := measure(ctx, s.config, method)
		line.Clear()
		if len(result.drains) > 0 {
			results = append(results, result)
		}
		if method.name == polite && result.failed() {
			status = 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "streams: %s: %v\n", method.name, err)
			status = 1
			break
		}
	}

	if len(results) == 0 {
		return status
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
