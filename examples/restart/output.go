//go:build unix

package main

import (
	"fmt"
	"io"
	"time"

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

// unnoticed reports whether no client noticed a restart.
func (r result) unnoticed() bool {
	all := r.all()
	return all.Lost == 0 && all.Refused == 0 && all.Delayed == 0
}

func writeTable(w io.Writer, s settings, results []result) error {
	out := &printer{w: w}
	out.printf("%d clients of each kind, think time %v; each process is the child of the last one\n\n", s.clients, s.think)
	const columns = "%-10s %8v | %8v %6v %7v %7v %8v | %8v %6v %7v %7v %8v\n"
	out.printf(columns, "", "", "keep-", "", "", "", "", "connect", "", "", "", "")
	out.printf(columns, "method", "restarts",
		"alive", "lost", "refused", "delayed", "slowest",
		"anew", "lost", "refused", "delayed", "slowest")
	for _, r := range results {
		k, c := r.keeping, r.connecting
		out.printf(columns, r.way, r.restarts,
			k.Requests, k.Lost, k.Refused, k.Delayed, k.Slowest.Round(time.Millisecond),
			c.Requests, c.Lost, c.Refused, c.Delayed, c.Slowest.Round(time.Millisecond))
	}
	out.printf("\nshutdown is http.Server.Shutdown, closed is Serve on a socket that it closes at once (On), and reuseport is\n" +
		"Serve with ReusePort, which empties its socket first.\n")
	out.printf("A lost request was sent and got no answer: a client must not repeat a POST. A refused one could not be\n"+
		"sent, and a delayed one took %v or more.\n", restart.DelayedFrom)
	for _, r := range results {
		switch {
		case r.way != best:
		case r.unnoticed():
			out.printf("With reuseport nobody noticed a restart.\n")
		default:
			out.printf("With reuseport nobody should have noticed a restart.\n")
		}
	}
	return out.err
}

// printer remembers the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
