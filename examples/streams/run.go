package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// config is the traffic of a run.
type config struct {
	Streams  int           // of each kind, from Go
	Node     int           // of each of Node's built-in clients
	Restarts int           // per method
	Every    time.Duration // from one message of a stream to the next
	Timeout  time.Duration // of a drain
	progress func(result)  // after each restart; may be nil
}

const (
	// settleTime is how long the traffic runs between two restarts.
	settleTime = 100 * time.Millisecond
	// patience bounds the wait for what every client does at once.
	patience = 30 * time.Second
)

// result is what a run saw.
type result struct {
	method  string
	forced  int
	drains  []time.Duration // of each restart in order
	clients []counts        // of each kind
}

func (r result) total() (total counts) {
	for _, c := range r.clients {
		total.Streams += c.Streams
		total.Opened += c.Opened
		total.Told += c.Told
		total.Cut += c.Cut
		total.Messages += c.Messages
		total.Lost += c.Lost
		total.Doubled += c.Doubled
	}
	return total
}

// failed reports whether something was lost, doubled or cut.
func (r result) failed() bool {
	total := r.total()
	return total.Lost > 0 || total.Doubled > 0 || total.Cut > 0 || r.forced > 0
}

// drainMedian is the upper one of two; 0 before the first restart.
func (r result) drainMedian() time.Duration {
	if len(r.drains) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(r.drains))[len(r.drains)/2]
}

func (r result) drainWorst() time.Duration {
	return slices.Max(append([]time.Duration{0}, r.drains...))
}

type run struct {
	config
	method method
	result result
}

// measure restarts a server under streams and returns what became of every
// message. When ctx ends, or a server fails, it returns the result so far beside
// the error. A lost message is no error.
func measure(ctx context.Context, c config, m method) (result, error) {
	r := &run{config: c, method: m, result: result{method: m.name}}
	socket, err := listen()
	if err != nil {
		return r.result, err
	}
	defer socket.close()
	feed := newFeed()

	// The clients end after the last restart, whatever became of it.
	patient, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	t := &traffic{base: socket.address(), every: c.Every, stop: make(chan struct{}), ctx: patient}
	nodes, err := t.startNode(c.Node)
	if err != nil {
		return r.result, err
	}
	count := 2*c.Streams + nodes.streams()

	serving := r.start(socket, feed, count)
	tallies := t.startGo(c.Streams)
	stopFeed := feed.start(c.Every)
	serving, err = r.restart(ctx, serving, func() *generation { return r.start(socket, feed, count) }, count)

	stopFeed(t.finish)
	defer time.AfterFunc(patience, giveUp).Stop()
	nodeCounts, nodeErr := nodes.wait()
	t.clients.Wait()
	_, lastErr := serving.drain()
	for _, tally := range tallies {
		r.result.clients = append(r.result.clients, tally.counts)
	}
	r.result.clients = append(r.result.clients, nodeCounts...)
	return r.result, errors.Join(err, nodeErr, lastErr)
}

// restart replaces the server as often as asked, and returns the last one.
func (r *run) restart(ctx context.Context, serving *generation, start func() *generation, clients int) (*generation, error) {
	for number := range r.Restarts {
		if err := serving.settle(ctx, clients); err != nil {
			return serving, fmt.Errorf("before restart %d: %w", number+1, err)
		}
		next := start()
		took, err := serving.drain()
		r.result.forced += serving.forced
		serving = next
		if err != nil {
			return serving, fmt.Errorf("restart %d: %w", number+1, err)
		}
		r.result.drains = append(r.result.drains, took)
		if r.progress != nil {
			r.progress(r.result)
		}
	}
	err := serving.settle(ctx, clients)
	return serving, err
}

// traffic is what the clients of a run share.
type traffic struct {
	base    string // host and port
	every   time.Duration
	ctx     context.Context // done when nobody waits for them any more
	stop    chan struct{}   // closed at the end; then no message is sent any more
	final   int             // the number of the last event, once stop is closed
	node    *nodeClients
	clients sync.WaitGroup
}

// finish tells the clients which event is the last.
func (t *traffic) finish(final int) {
	t.final = final
	close(t.stop)
	t.node.finish(final)
}

// stopped reports whether the end has come, and what the last event is.
func (t *traffic) stopped() (final int, stopped bool) {
	select {
	case <-t.stop:
		return t.final, true
	default:
		return 0, false
	}
}

// startGo starts n clients of each kind.
func (t *traffic) startGo(n int) []*tally {
	events, sockets := newTally("Go SSE", n), newTally("Go WebSocket", n)
	for number := range n {
		t.clients.Go(func() { t.followEvents(fmt.Sprint("go-events-", number), events) })
		t.clients.Go(func() { t.talk(fmt.Sprint("go-socket-", number), sockets) })
	}
	return []*tally{events, sockets}
}

// pause waits before another try.
func (t *traffic) pause() {
	select {
	case <-time.After(5 * time.Millisecond):
	case <-t.ctx.Done():
	}
}
