//go:build unix

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

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

// parse prints the usage, for -h only, to usage. Any other error is one line that
// names the flag, the value and what is allowed.
func parse(args []string, usage io.Writer) (settings, error) {
	s := settings{clients: 64, think: time.Millisecond, restarts: 20}
	method, names := all, []string{all}
	for _, w := range ways() {
		names = append(names, w.name)
	}
	flags := flag.NewFlagSet("restart", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.Var(flagvalue.Whole(&s.clients, 1, restart.MaxClients), "clients", "`clients` of each kind")
	flags.Var(flagvalue.Duration(&s.think, 0, 2*time.Second), "think", "`time` from an answer to the client's next request")
	flags.Var(flagvalue.Whole(&s.restarts, 1, restart.MaxRestarts), "restarts", "`restarts` per method")
	flags.Var(flagvalue.OneOf(&method, names), "method", "the `method` to measure: "+strings.Join(names, ", "))

	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(usage, "Usage: restart [flags]\n\nRestarts a program that nothing supervises, and counts what clients notice.")
		flags.SetOutput(usage)
		flags.PrintDefaults()
		return settings{}, err
	case err != nil:
		return settings{}, err
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("unexpected argument %q: only flags are allowed, -h lists them", flags.Arg(0))
	}
	for _, w := range ways() {
		if method == all || method == w.name {
			s.ways = append(s.ways, w)
		}
	}
	return s, nil
}
