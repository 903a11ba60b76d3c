//go:build unix

package main

import (
	"io"
	"time"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/flagvalue"
	"github.com/politeclose/politeclose/internal/restart"
)

// settings is what the flags say.
type settings struct {
	clients  int // of each kind
	think    time.Duration
	restarts int
	ways     []way
}

const all = "all"

// parse is as [demonstration.Flags.Parse].
func parse(args []string, usage io.Writer) (settings, error) {
	s := settings{clients: 64, think: time.Millisecond, restarts: 20}
	method, names := all, []string{all}
	for _, w := range ways() {
		names = append(names, w.name)
	}
	flags := demonstration.NewFlags("restart", "Restarts a program that nothing supervises, and counts what clients notice.\n"+
		"It serves POST / on a port of 127.0.0.1, to clients of its own.")
	flags.Var(flagvalue.Whole(&s.clients, 1, restart.MaxClients), "clients", "`clients` of each kind")
	flags.Var(flagvalue.Duration(&s.think, 0, 2*time.Second), "think", "`time` from an answer to the client's next request")
	flags.Var(flagvalue.Whole(&s.restarts, 1, restart.MaxRestarts), "restarts", "`restarts` per method")
	flags.Var(flagvalue.OneOf(&method, names), "method", "the `method` to measure: "+flagvalue.List(names))

	if err := flags.Parse(args, usage); err != nil {
		return settings{}, err
	}
	for _, w := range ways() {
		if method == all || method == w.name {
			s.ways = append(s.ways, w)
		}
	}
	return s, nil
}
