//go:build unix

package main

import (
	"io"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/restart"
)

// result is what the restarts of one way have cost.
type result struct {
	way      string
	restarts int
	// keeping and connecting are the clients that keep their connections, and
	// those that connect for each request.
	keeping, connecting restart.Result
}

// all has the counts of both kinds.
func (r result) all() restart.Result {
	return restart.Result{
		Requests: r.keeping.Requests + r.connecting.Requests,
		Lost:     r.keeping.Lost + r.connecting.Lost,
		Refused:  r.keeping.Refused + r.connecting.Refused,
		Delayed:  r.keeping.Delayed + r.connecting.Delayed,
	}
}

// answered reports whether all requests were sent and answered.
func (r result) answered() bool { return r.all().Lost == 0 && r.all().Refused == 0 }

// unnoticed reports whether no client noticed a restart.
func (r result) unnoticed() bool { return r.answered() && r.all().Delayed == 0 }

func writeTable(w io.Writer, s settings, results []result) error {
	out := &demonstration.Printer{W: w}
	out.Printf("%d clients of each kind, think time %v; each process is the child of the last\n\n", s.clients, s.think)
	const columns = "%-10s %8v  %-13s | %8v %6v %7v %7v %8v\n"
	out.Printf(columns, "method", "restarts", "connections", "requests", "lost", "refused", "delayed", "slowest")
	for _, r := range results {
		for _, kind := range []struct {
			name string
			restart.Result
		}{{"kept", r.keeping}, {"one a request", r.connecting}} {
			out.Printf(columns, r.way, r.restarts, kind.name,
				kind.Requests, kind.Lost, kind.Refused, kind.Delayed, demonstration.Rounded(kind.Slowest))
		}
	}
	out.Printf("\nshutdown is http.Server.Shutdown, closed is Serve on a socket that it closes at\n" +
		"once (On), and reuseport is Serve with ReusePort, which first empties its own.\n")
	out.Printf("A lost request was sent and got no answer: a client must not repeat a POST. A\n"+
		"refused one could not be sent, and a delayed one took %v or more.\n", restart.DelayedFrom)
	for _, r := range results {
		switch {
		case r.way != best:
		case r.unnoticed():
			out.Printf("With reuseport nobody noticed a restart.\n")
		default:
			out.Printf("With reuseport nobody should have noticed a restart.\n")
		}
	}
	return out.Err
}
