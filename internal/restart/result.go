package restart

import (
	"slices"
	"time"
)

// Result is what became of every request of a run, and how long the drains took.
type Result struct {
	Method   string
	Restarts int // completed

	// The clients' side: Requests = Answered + Lost + NeverSent + Refused once the
	// run is over. An answer is complete, has status 200 and belongs to the request.
	Requests, Answered, Lost int
	// Refused counts the requests whose client could not connect: nothing of them
	// was sent.
	Refused int
	// Delayed counts the answers that took DelayedFrom longer than the slowest
	// handler. Slowest is the time of the slowest answer.
	Delayed int
	Slowest time.Duration
	// NeverSent counts, over HTTP/2, the failed requests that are not lost: their
	// client had sent neither the header nor any of the body, and no handler has
	// seen them, so that they can safely be sent again. Over HTTP/1.1 every failed
	// request counts as lost.
	NeverSent int
	// Causes, NeverSentCauses and RefusedCauses count the requests of each kind by
	// error text, without addresses.
	Causes, NeverSentCauses, RefusedCauses map[string]int

	// The servers' side: requests whose handler had the whole request, and those
	// whose handler has returned. Equal once the run is over.
	Reached, Finished int

	// Of the lost, which they add up to once the run is over: requests that
	// never reached a handler, and requests that a handler executed although
	// the client never hears of it.
	LostUnseen, LostExecuted int

	// LostAfter has, for each lost request in no order, the time from the last order
	// to leave until its client knew that it has no answer.
	LostAfter []time.Duration

	// Abandoned counts the handlers that still ran when the method said that
	// their generation was empty.
	Abandoned int

	// Drains has, for each restart in order, the time from the order to leave
	// until the method said that the generation was empty.
	Drains []time.Duration
}

// DelayedFrom is what a client waits at least whose first packet was dropped.
const DelayedFrom = time.Second

// LostPerRestart is Lost over Restarts, 0 before the first restart.
func (r Result) LostPerRestart() float64 {
	if r.Restarts == 0 {
		return 0
	}
	return float64(r.Lost) / float64(r.Restarts)
}

// DrainMedian is the median of Drains, the upper one of two; 0 if there is none.
func (r Result) DrainMedian() time.Duration {
	if len(r.Drains) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(r.Drains))
	return sorted[len(sorted)/2]
}

// DrainWorst is the longest of Drains; 0 if there is none.
func (r Result) DrainWorst() time.Duration {
	if len(r.Drains) == 0 {
		return 0
	}
	return slices.Max(r.Drains)
}
