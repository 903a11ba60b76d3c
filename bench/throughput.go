package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// traffic is a kept connection to a server of its own, with requests under way.
type traffic struct {
	protocol protocol
	server   *server
	client   client // nil before the first triple
	// Of the triple that is being measured.
	requests int
	elapsed  time.Duration
}

const (
	answer = "ok"
	warmUp = 5 * time.Millisecond
)

// writeAnswer sets a header field, as most handlers do: for one that does not ask
// for its header net/http spares a copy of it, which everybody's look costs.
func writeAnswer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, answer)
}

func newTraffic(a arrangement, p protocol) (*traffic, error) {
	installed, err := a.build(writeAnswer, false)
	if err != nil {
		return nil, err
	}
	server, err := serve(installed, p, installed.handler)
	if err != nil {
		return nil, err
	}
	return &traffic{protocol: p, server: server}, nil
}

// connect begins a triple with a new connection: one may be faster than another
// for as long as it lasts, by where its buffers happen to lie.
func (t *traffic) connect() (err error) {
	t.disconnect()
	if t.client, err = t.protocol.newClient(t.server); err != nil {
		t.client = nil
		return err
	}
	_, err = t.client.run(time.Now().Add(warmUp))
	return err
}

func (t *traffic) disconnect() {
	if t.client != nil {
		t.client.close()
	}
}

func (t *traffic) run(d time.Duration) error {
	began := time.Now()
	requests, err := t.client.run(began.Add(d))
	t.requests += requests
	t.elapsed += time.Since(began)
	return err
}

// rate ends the triple.
func (t *traffic) rate() float64 {
	rate := float64(t.requests) / t.elapsed.Seconds()
	t.requests, t.elapsed = 0, 0
	return rate
}

func (t *traffic) close() error {
	t.disconnect()
	return t.server.close()
}

// throughput has one value for each triple.
type throughput struct {
	rate     []float64 // requests per second
	baseRate []float64
	ratio    []float64 // to the mean of the triple's bases
	aa       []float64 // of one base to the other
}

// sliceTime is how long one side of a triple has its turn. It is short because a
// machine changes its pace within milliseconds. Over HTTP/2 a turn begins without
// requests under way and waits for the last at its end, which must not be much of it.
func (p protocol) sliceTime() time.Duration {
	if p == http2 {
		return 10 * time.Millisecond
	}
	return 500 * time.Microsecond
}

// measureThroughput measures an arrangement between its base and its base once
// more, triple by triple. The three take turns also within a triple, slice by slice,
// so that whatever slows the machine down meets all of them.
func measureThroughput(ctx context.Context, p protocol, a, base arrangement, size sizes) (result throughput, err error) {
	var sides []*traffic
	defer func() {
		for _, side := range sides {
			if closeErr := side.close(); closeErr != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", a.name, closeErr))
			}
		}
	}()
	for _, arranged := range []arrangement{base, a, base} {
		side, err := newTraffic(arranged, p)
		if err != nil {
			return throughput{}, fmt.Errorf("%s: %w", arranged.name, err)
		}
		sides = append(sides, side)
	}
	for triple := range size.triples {
		if err := takeTurns(ctx, p, triple, sides, size); err != nil {
			return throughput{}, fmt.Errorf("%s: %w", a.name, err)
		}
		result.add(sides[0].rate(), sides[1].rate(), sides[2].rate())
	}
	return result, nil
}

// takeTurns is one triple: sides send in turns, over new connections.
func takeTurns[T interface {
	connect() error
	run(time.Duration) error
}](ctx context.Context, p protocol, triple int, sides []T, size sizes) error {
	for _, side := range sides {
		if err := side.connect(); err != nil {
			return err
		}
	}
	for slice := range int(max(size.sideTime/p.sliceTime(), 1)) * len(sides) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// Each round of slices begins with another side.
		if err := sides[(slice+slice/len(sides)+triple)%len(sides)].run(p.sliceTime()); err != nil {
			return err
		}
	}
	return nil
}

// add adds a triple.
func (t *throughput) add(first, measured, second float64) {
	alone := (first + second) / 2
	t.rate = append(t.rate, measured)
	t.baseRate = append(t.baseRate, alone)
	t.ratio = append(t.ratio, measured/alone)
	t.aa = append(t.aa, second/first)
}

func throughputSection(ctx context.Context, size sizes) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, `## Requests through one kept connection

A real server and a client on loopback, the answer has a Content-Type and 2 bytes: over %s one request at a time, over
%s %d. Each row is %d measurements over new connections: of the framework alone (A), the row's own, and the framework
alone once more (A/A), %v each in turns of %v (%s) or %v. The ratios are to the mean of both A of the same
measurement: their median, and the lower 95 %% bound of the median by order statistics. What A/A is off 1 is the machine's
noise.

`, http1, http2, streams, size.triples, size.sideTime, http1.sliceTime(), http1, http2.sliceTime())
	for _, p := range []protocol{http1, http2} {
		t := newTable(string(p), "requests/s", "alone", "ratio", "lower bound", "A/A", "lower bound of A/A")
		bases := make(map[string]arrangement) // they come before what is compared with them
		for _, a := range arrangements(p) {
			bases[a.name] = a
			if a.name == a.base {
				continue
			}
			r, err := measureThroughput(ctx, p, a, bases[a.base], size)
			if err != nil {
				return "", fmt.Errorf("throughput over %s: %w", p, err)
			}
			t.row(a.name, fmt.Sprintf("%.0f", median(r.rate)), fmt.Sprintf("%.0f", median(r.baseRate)),
				precise(median(r.ratio)), precise(lowerBound(r.ratio)), precise(median(r.aa)), precise(lowerBound(r.aa)))
		}
		fmt.Fprintf(&text, "%s\n", t)
	}
	return text.String(), nil
}
