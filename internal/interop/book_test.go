package interop

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// book counts every request on both sides: those of clients by name, those of
// replicas by name or by number.
type book struct {
	mu       sync.Mutex
	heard    map[string]string // the cause of the loss, "" for an answer
	answers  int
	executed map[string]int // by name
	total    int            // of those executed, named or not
	// probed says that some of the total are a proxy's health checks.
	probed bool
}

func newBook() *book {
	return &book{heard: make(map[string]string), executed: make(map[string]int)}
}

// client notes what became of a request.
func (b *book) client(id, cause string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard[id] = cause
	if cause == "" {
		b.answers++
	}
}

// answered is the number of requests that were answered so far.
func (b *book) answered() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answers
}

const executedPrefix = "executed "

// totalOfExample is what an example prints at its end.
var totalOfExample = regexp.MustCompile(`^(\d+) requests since the start`)

// replica notes what a replica has printed, and reports whether that was a count.
func (b *book) replica(line string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id, ok := strings.CutPrefix(line, executedPrefix); ok {
		b.executed[id]++
		b.total++
		return true
	}
	if total := totalOfExample.FindStringSubmatch(line); total != nil {
		n, _ := strconv.Atoi(total[1])
		b.total += n
		return true
	}
	return false
}

// executions is the number of requests that were executed.
func (b *book) executions() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// result is what became of the requests of a run.
type result struct {
	requests, lost int
	executed       int // with health checks where those are counted too
	lostExecuted   int // of the lost, as far as replicas name them
	repeated       int // executions of what had been executed, likewise
	causes         map[string]int
}

// result adds the book up, and fails the test where the two sides contradict
// each other.
func (b *book) result(t *testing.T) result {
	t.Helper()
	r := b.added()
	b.mu.Lock()
	defer b.mu.Unlock()
	switch answered := r.requests - r.lost; {
	case answered == 0:
		t.Errorf("none of %d requests was answered", r.requests)
	case len(b.executed) > 0:
		r.repeated = b.compareNames(t)
	case r.executed < answered, r.executed > r.requests && !b.probed:
		t.Errorf("of %d requests %d were answered, and %d were executed", r.requests, answered, r.executed)
	}
	return r
}

// added is result without that look: a server may lose all of them.
func (b *book) added() result {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := result{requests: len(b.heard), executed: b.total, causes: map[string]int{}}
	for id, cause := range b.heard {
		if cause != "" {
			r.lost++
			r.causes[cause]++
			r.lostExecuted += min(b.executed[id], 1)
		}
	}
	return r
}

// compareNames returns how often a request was executed that had been executed.
func (b *book) compareNames(t *testing.T) (repeated int) {
	t.Helper()
	for id, cause := range b.heard {
		if cause == "" && b.executed[id] == 0 {
			t.Errorf("request %s was answered, and no replica executed it", id)
		}
	}
	for id, times := range b.executed {
		if _, known := b.heard[id]; !known {
			t.Errorf("request %s was executed, and no client knows what became of it", id)
		}
		repeated += times - 1
	}
	return repeated
}

func (r result) String() string {
	text := fmt.Sprintf("%d requests, %d executed, %d lost", r.requests, r.executed, r.lost)
	if r.repeated > 0 {
		text = fmt.Sprintf("%s, %d executed again", text, r.repeated)
	}
	if r.lost == 0 {
		return text
	}
	var causes []string
	for _, cause := range slices.Sorted(maps.Keys(r.causes)) {
		causes = append(causes, fmt.Sprintf("%d %s", r.causes[cause], cause))
	}
	return fmt.Sprintf("%s (%d of them executed): %s", text, r.lostExecuted, strings.Join(causes, "; "))
}
