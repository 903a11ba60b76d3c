package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

// exchanger measures one exchange that keeps its connection: a loop within one
// handler of a real server, so that net/http's own writer is below.
type exchanger struct {
	server     *server
	transport  *http.Transport
	benchmarks chan *testing.B
	best       exchangeCost
}

// exchangeCost has the least of all rounds: what disturbs a round only adds to it.
type exchangeCost struct {
	nanoseconds   float64
	allocs, bytes int64
}

func newExchanger(a arrangement, p protocol) (*exchanger, error) {
	installed, err := a.build(func(http.ResponseWriter, *http.Request) {}, false)
	if err != nil {
		return nil, err
	}
	if installed.entered != nil {
		installed.handler, installed.prepare = installed.entered, installed.recorded
	}
	e := &exchanger{
		transport:  p.newTransport(),
		benchmarks: make(chan *testing.B, 1),
		best:       exchangeCost{math.Inf(1), math.MaxInt64, math.MaxInt64},
	}
	e.server, err = serve(installed, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if installed.writesHeader {
			w = headerless{w.(serverWriter)}
		}
		b := <-e.benchmarks
		b.ReportAllocs()
		for b.Loop() {
			installed.handler.ServeHTTP(w, r)
		}
	}))
	return e, err
}

// headerless keeps a framework's header from net/http, which would log every one
// after the first of a loop. It has the methods of net/http's own writer, for
// which an entry takes it.
type headerless struct{ serverWriter }

func (headerless) WriteHeader(int) {}

// serverWriter is what net/http's writer of HTTP/1 can do.
type serverWriter interface {
	http.ResponseWriter
	http.Flusher
	FlushError() error
	http.CloseNotifier //nolint:staticcheck // net/http's has it
	http.Hijacker
	io.ReaderFrom
	io.StringWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	EnableFullDuplex() error
}

// round measures for the time that the test.benchtime flag says.
func (e *exchanger) round() error {
	var err error
	result := testing.Benchmark(func(b *testing.B) {
		e.benchmarks <- b
		err = e.server.get(e.transport, "")
	})
	if err == nil && result.N == 0 {
		err = errors.New("no exchange was measured")
	}
	if err != nil {
		return err
	}
	e.best.nanoseconds = min(e.best.nanoseconds, float64(result.T.Nanoseconds())/float64(result.N))
	e.best.allocs = min(e.best.allocs, result.AllocsPerOp())
	e.best.bytes = min(e.best.bytes, result.AllocedBytesPerOp())
	return nil
}

func (e *exchanger) close() error {
	e.transport.CloseIdleConnections()
	return e.server.close()
}

// exchangeCosts measures arrangements in turn, round after round, and has the
// costs by name.
func exchangeCosts(ctx context.Context, p protocol, arrangements []arrangement, size sizes) (costs map[string]exchangeCost, err error) {
	if err := flag.Set("test.benchtime", size.exchangeTime.String()); err != nil {
		return nil, err
	}
	exchangers := make(map[string]*exchanger)
	defer func() {
		for name, e := range exchangers {
			if closeErr := e.close(); closeErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", name, closeErr))
			}
		}
	}()
	for _, a := range arrangements {
		e, err := newExchanger(a, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		exchangers[a.name] = e
	}
	for range size.exchangeRounds {
		for name, e := range exchangers {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err := e.round(); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	costs = make(map[string]exchangeCost)
	for name, e := range exchangers {
		costs[name] = e.best
	}
	return costs, nil
}

func exchangeSection(ctx context.Context, size sizes) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, `## One exchange that keeps its connection

A loop within one handler of a real server that knows the connection, so that net/http's own writer is below; the
application writes nothing. The least of %d rounds of %v, in which all take turns. "× alone" and "added" compare with the
framework alone; the last column is what is added, as a multiple of what httpsnoop adds. All of it lives in one process, whose
garbage collector has more to mark than one server's would: what allocates takes longer than in package core's own benchmark.

`, size.exchangeRounds, size.exchangeTime)
	for _, p := range []protocol{http1, http2} {
		costs, err := exchangeCosts(ctx, p, arrangements(p), size)
		if err != nil {
			return "", fmt.Errorf("one exchange over %s: %w", p, err)
		}
		t := newTable(string(p), "time", "allocations", "bytes", "× alone", "added", "× httpsnoop's")
		added := func(a arrangement) float64 { return costs[a.name].nanoseconds - costs[a.base].nanoseconds }
		for _, a := range arrangements(p) {
			c := costs[a.name]
			t.row(a.name, nanoseconds(c.nanoseconds), fmt.Sprint(c.allocs), fmt.Sprint(c.bytes),
				ratio(c.nanoseconds/costs[a.base].nanoseconds), nanoseconds(added(a)), ratio(added(a)/added(snooped())))
		}
		fmt.Fprintf(&text, "%s\n", t)
	}
	return text.String(), nil
}
