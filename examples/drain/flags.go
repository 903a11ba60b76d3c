package main

import (
	"fmt"
	"io"
	"time"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/flagvalue"
	"github.com/politeclose/politeclose/internal/restart"
)

// settings is what the flags say.
type settings struct {
	traffic restart.Config // without a method
	methods []restart.Method
	json    bool
	plot    string
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

// parse is as [demonstration.Flags.Parse].
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

	flags := demonstration.NewFlags("drain", "Restarts a server under keep-alive traffic and counts the requests lost.\n"+
		"It serves POST / on a port of 127.0.0.1, to clients of its own.")
	flags.Var(flagvalue.Whole(&s.traffic.Clients, 1, restart.MaxClients), "clients",
		fmt.Sprintf("keep-alive `connections`, one client each (default with -http2: %d)", clientsHTTP2))
	flags.Var(flagvalue.Whole(&streams, 1, restart.MaxStreams), "streams", "`requests` at a time on each connection, with -http2")
	flags.Var(flagvalue.Duration(&s.traffic.Think, 0, longest), "think", "`time` from an answer to the client's next request")
	flags.Var(flagvalue.Duration(&s.traffic.Handler, 0, longest), "handler", "`time` that a request takes on the server")
	flags.Var(flagvalue.Share(&s.traffic.SlowShare), "slow",
		fmt.Sprintf("`share` of the requests that take %v instead, 0 to 1", slowTime))
	flags.Var(flagvalue.Whole(&s.traffic.Restarts, 1, restart.MaxRestarts), "restarts",
		fmt.Sprintf("`restarts` per method (default with -http2: %d)", restartsHTTP2))
	flags.Var(flagvalue.OneOf(&method, names), "method", "the `method` to measure: "+flagvalue.List(names))
	flags.BoolFunc("http2", "speak HTTP/2: in cleartext, or with -tls over TLS", flagvalue.Bool(&s.traffic.HTTP2))
	flags.BoolFunc("tls", "serve HTTPS", flagvalue.Bool(&s.traffic.TLS))
	flags.Var(flagvalue.File(&s.plot), "plot", "SVG `file` to write, with what each method loses, and when")
	flags.BoolFunc("json", "print JSON instead of a table", flagvalue.Bool(&s.json))

	if err := flags.Parse(args, usage); err != nil {
		return settings{}, err
	}
	switch {
	case s.traffic.HTTP2:
		s.traffic.Streams = streams
		if !flags.Given("clients") {
			s.traffic.Clients = clientsHTTP2
		}
		if !flags.Given("restarts") {
			s.traffic.Restarts = restartsHTTP2
		}
	case flags.Given("streams") && streams > 1:
		return settings{}, fmt.Errorf(`invalid value "%d" for flag -streams: allowed without -http2 is 1`, streams)
	}

	for _, m := range known {
		if method == all || method == m.Name {
			s.methods = append(s.methods, m)
		}
	}
	return s, nil
}
