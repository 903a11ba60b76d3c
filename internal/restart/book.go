package restart

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// book counts every request on both sides. It keeps an entry for each request
// that has no answer: in the end, for each one that failed.
type book struct {
	mu      sync.Mutex
	quiet   sync.Cond // no handler runs
	entries map[string]*entry
	counts  Result
	// strays are requests that reached a handler a second time, or unsent.
	strays int
}

// entry is how far a request has come.
type entry struct {
	client  int
	failed  time.Time // zero until then
	cause   string
	unsent  bool // by the client's account
	refused bool // the client could not connect

	arrived, reached, finished bool // on the server: at a handler, there as a whole
}

func newBook() *book {
	b := &book{entries: make(map[string]*entry)}
	b.quiet.L = &b.mu
	return b
}

// sent is called before a request goes out, and numbers it.
func (b *book) sent(client int) (id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Requests++
	id = strconv.Itoa(b.counts.Requests)
	b.entries[id] = &entry{client: client}
	return id
}

func (b *book) answered(id string, after time.Duration, late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Answered++
	b.counts.Slowest = max(b.counts.Slowest, after)
	if late {
		b.counts.Delayed++
	}
	delete(b.entries, id)
}

func (b *book) lost(id, cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries[id].fail(cause)
}

// neverSent is for a failed request of which its client has sent nothing. It
// counts as lost all the same if a handler has seen any of it.
func (b *book) neverSent(id, cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries[id].fail(cause)
	b.entries[id].unsent = true
}

// refused is for a request whose client could not connect.
func (b *book) refused(id, cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.entries[id].fail(cause)
	b.entries[id].refused = true
}

func (e *entry) fail(cause string) { e.failed, e.cause = time.Now(), cause }

// cutOff is called by a handler that did not get the whole request.
func (b *book) cutOff(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.entries[id]; e != nil {
		e.arrived = true
	}
}

// reached returns whose request it is; ok is false if nobody waits for it.
func (b *book) reached(id string) (client int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Reached++
	e := b.entries[id]
	if e == nil || e.reached {
		b.strays++
		return 0, false
	}
	e.arrived, e.reached = true, true
	return e.client, true
}

func (b *book) finished(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts.Finished++
	if e := b.entries[id]; e != nil {
		e.finished = true
	}
	if b.counts.Finished == b.counts.Reached {
		b.quiet.Broadcast()
	}
}

// waitForHandlers returns when no handler runs. A method may leave some behind.
func (b *book) waitForHandlers() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.counts.Finished != b.counts.Reached {
		b.quiet.Wait()
	}
}

// result is a copy of the counts, valid at any time. Servers were told to leave
// at these times.
func (b *book) result(orders ...time.Time) Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	result := b.counts
	result.Causes, result.NeverSentCauses, result.RefusedCauses = make(map[string]int), make(map[string]int), make(map[string]int)
	for _, e := range b.entries {
		switch {
		case e.failed.IsZero():
			continue
		case e.refused && !e.arrived:
			result.Refused++
			result.RefusedCauses[e.cause]++
			continue
		case e.unsent && !e.arrived:
			result.NeverSent++
			result.NeverSentCauses[e.cause]++
			continue
		case !e.reached:
			result.LostUnseen++
		case e.finished:
			result.LostExecuted++
		}
		result.Lost++
		if after, ok := sinceLast(orders, e.failed); ok {
			result.LostAfter = append(result.LostAfter, after)
		}
		result.Causes[e.cause]++
	}
	return result
}

// sinceLast is the time since the last order before at, if there was one.
func sinceLast(orders []time.Time, at time.Time) (after time.Duration, ok bool) {
	for _, order := range slices.Backward(orders) {
		if !order.After(at) {
			return at.Sub(order), true
		}
	}
	return 0, false
}

// contradiction is nil if, after the traffic, the two sides tell one story.
func (b *book) contradiction() error {
	r := b.result()
	var problems []error
	if r.Requests != r.Answered+r.Lost+r.NeverSent+r.Refused {
		problems = append(problems, fmt.Errorf("%d requests, but %d answered and %d lost and %d never sent and %d refused",
			r.Requests, r.Answered, r.Lost, r.NeverSent, r.Refused))
	}
	if r.Reached != r.Answered+r.Lost-r.LostUnseen {
		problems = append(problems, fmt.Errorf("%d requests reached a handler, "+
			"but %d were answered and %d of the %d lost were seen", r.Reached, r.Answered, r.Lost-r.LostUnseen, r.Lost))
	}
	if b.strays > 0 {
		problems = append(problems, fmt.Errorf("%d requests reached a handler that no client was waiting for", b.strays))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("restart: the counts contradict each other: %w", err)
	}
	return nil
}
