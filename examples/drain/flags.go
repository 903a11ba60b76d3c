package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/politeclose/politeclose/internal/restart"
)

// settings is what the flags say.
type settings struct {
	traffic restart.Config // without a method
	methods []restart.Method
	json    bool
}

const (
	all      = "all"
	longest  = 2 * time.Second
	slowTime = 300 * time.Millisecond

	clients  = 64
	restarts = 20

	clientsHTTP2  = 8 // each has many requests at a time
	restartsHTTP2 = 5 // Shutdown takes a second for many of them
)

// parse prints the usage, for -h only, to usage. Any other error is one line
// that names the flag, the value and what is allowed.
func parse(args []string, usage io.Writer) (settings, error) {
	s := settings{traffic: restart.Config{
		Clients:     clients,
		Think:       2 * time.Millisecond,
		SlowHandler: slowTime,
		Restarts:    restarts,
	}}
	method, streams := all, restart.DefaultStreams
	known := methods()
	names := []string{all}
	for _, m := range known {
		names = append(names, m.Name)
	}

	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.Var(whole(&s.traffic.Clients, restart.MaxClients), "clients",
		fmt.Sprintf("keep-alive `connections`, one client each (default with -http2: %d)", clientsHTTP2))
	flags.Var(whole(&streams, restart.MaxStreams), "streams", "`requests` at a time on each connection, with -http2")
	flags.Var(duration(&s.traffic.Think), "think", "`time` from an answer to the client's next request")
	flags.Var(duration(&s.traffic.Handler), "handler", "`time` that a request takes on the server")
	flags.Var(share(&s.traffic.SlowShare), "slow",
		fmt.Sprintf("`share` of the requests that take %v instead, 0 to 1", slowTime))
	flags.Var(whole(&s.traffic.Restarts, restart.MaxRestarts), "restarts",
		fmt.Sprintf("`restarts` per method (default with -http2: %d)", restartsHTTP2))
	flags.Var(oneOf(&method, names), "method", "the `method` to measure: "+strings.Join(names, ", "))
	flags.BoolFunc("http2", "speak HTTP/2: in cleartext, or with -tls over TLS", boolean(&s.traffic.HTTP2))
	flags.BoolFunc("tls", "serve HTTPS", boolean(&s.traffic.TLS))
	flags.BoolFunc("json", "print JSON instead of a table", boolean(&s.json))

	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(usage, "Usage: drain [flags]\n\nRestarts a server under keep-alive traffic and counts the requests lost.")
		flags.SetOutput(usage)
		flags.PrintDefaults()
		return settings{}, err
	case err != nil:
		return settings{}, err
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("unexpected argument %q: only flags are allowed, -h lists them", flags.Arg(0))
	}
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case s.traffic.HTTP2:
		s.traffic.Streams = streams
		if !given["clients"] {
			s.traffic.Clients = clientsHTTP2
		}
		if !given["restarts"] {
			s.traffic.Restarts = restartsHTTP2
		}
	case given["streams"] && streams > 1:
		return settings{}, fmt.Errorf(`invalid value "%d" for flag -streams: allowed without -http2 is 1`, streams)
	}

	for _, m := range known {
		if method == all || method == m.Name {
			s.methods = append(s.methods, m)
		}
	}
	return s, nil
}

// value is a flag.Value whose error says what is allowed.
type value[T any] struct {
	target  *T
	parse   func(string) (parsed T, ok bool)
	allowed string
}

func (v *value[T]) Set(text string) error {
	parsed, ok := v.parse(text)
	if !ok {
		return errors.New("allowed is " + v.allowed)
	}
	*v.target = parsed
	return nil
}

// String is the default that the usage shows; package flag also calls it on a
// zero value.
func (v *value[T]) String() string {
	if v.target == nil {
		return ""
	}
	return fmt.Sprint(*v.target)
}

func whole(target *int, most int) *value[int] {
	return &value[int]{target, func(text string) (int, bool) {
		n, err := strconv.Atoi(text)
		return n, err == nil && n >= 1 && n <= most
	}, fmt.Sprintf("a whole number from 1 to %d", most)}
}

func duration(target *time.Duration) *value[time.Duration] {
	return &value[time.Duration]{target, func(text string) (time.Duration, bool) {
		d, err := time.ParseDuration(text)
		return d, err == nil && d >= 0 && d <= longest
	}, fmt.Sprintf("a duration from 0s to %v, such as 20ms", longest)}
}

func share(target *float64) *value[float64] {
	return &value[float64]{target, func(text string) (float64, bool) {
		f, err := strconv.ParseFloat(text, 64)
		return f, err == nil && f >= 0 && f <= 1
	}, "a number from 0 to 1"}
}

func oneOf(target *string, names []string) *value[string] {
	return &value[string]{target, func(text string) (string, bool) {
		return text, slices.Contains(names, text)
	}, strings.Join(names, ", ")}
}

func boolean(target *bool) func(string) error {
	v := &value[bool]{target, func(text string) (bool, bool) {
		b, err := strconv.ParseBool(text)
		return b, err == nil
	}, "true or false"}
	return v.Set
}
