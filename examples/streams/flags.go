package main

import (
	"io"
	"os/exec"
	"time"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/flagvalue"
)

// settings is what the flags say.
type settings struct {
	config
	methods []method
	json    bool
}

const all = "all"

// parse is as [demonstration.Flags.Parse].
func parse(args []string, usage io.Writer) (settings, error) {
	s := settings{config: config{Streams: 16, Node: 4, Restarts: 5, Every: 10 * time.Millisecond, Timeout: 2 * time.Second}}
	if _, err := exec.LookPath("node"); err != nil {
		s.Node = 0
	}
	chosen, known := all, methods()
	names := []string{all}
	for _, m := range known {
		names = append(names, m.name)
	}

	flags := demonstration.NewFlags("streams", "Restarts a server under SSE and WebSocket streams and counts the messages lost.\n"+
		"It serves GET /events and /socket on a port of 127.0.0.1, to its own clients.")
	flags.Var(flagvalue.Whole(&s.Streams, 1, 1000), "streams", "`streams` of each kind, SSE and WebSocket, from Go clients")
	flags.Var(flagvalue.Whole(&s.Node, 0, 100), "node", "`streams` of each client that Node has built in: fetch, EventSource, WebSocket;\n0 for none, as where there is no Node")
	flags.Var(flagvalue.Whole(&s.Restarts, 1, 1000), "restarts", "`restarts` per method")
	flags.Var(flagvalue.Duration(&s.Every, time.Millisecond, time.Second), "every", "`time` from one message of a stream to the next")
	flags.Var(flagvalue.Duration(&s.Timeout, 2*idleGrace, 10*time.Second), "timeout", "`time` after which a drain cuts what is left")
	flags.Var(flagvalue.OneOf(&chosen, names), "method", "the `method` to measure: "+flagvalue.List(names))
	flags.BoolFunc("json", "print JSON instead of a table", flagvalue.Bool(&s.json))

	if err := flags.Parse(args, usage); err != nil {
		return settings{}, err
	}
	for _, m := range known {
		if chosen == all || chosen == m.name {
			s.methods = append(s.methods, m)
		}
	}
	return s, nil
}
