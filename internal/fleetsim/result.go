package fleetsim

import (
	"net/http"
	"time"
)

// Result is what happened.
type Result struct {
	Scenario  string `json:"scenario"`
	Policy    string `json:"policy"`
	Placement string `json:"placement"`
	// Balanced is after how many seconds the replicas that came with the
	// scenario had 90 % of their fair share; negative if never, or if none
	// came.
	Balanced float64 `json:"balanced_s"`
	// ClosesUntil are the closes by the policy until then, all of them if
	// never.
	ClosesUntil int     `json:"closes_until_balanced"`
	Closes      int     `json:"closes"`                // by the policy
	EndRate     float64 `json:"closes_per_second_end"` // in the last third of the time
	// The largest replica's number of connections in means: five minutes
	// after the scenario's last event, and at the end.
	LargestAfter float64 `json:"largest_after_5m"`
	LargestAtEnd float64 `json:"largest_at_end"`
	// Moves are new connections per client, drains and crashes included.
	Moves float64 `json:"moves_per_client"`
	// PollsPerSecond are those of one replica.
	PollsPerSecond float64 `json:"polls_per_second"`
	// ClosesByMinute has the closes by the policy in each minute.
	ClosesByMinute []int    `json:"closes_by_minute"`
	Samples        []Sample `json:"-"`
}

// Sample is how many connections each replica had, in the order in which they
// came; -1 for one that was gone.
type Sample struct {
	At          time.Duration
	Connections []int
}

// sampleEvery is how often a Sample is taken.
const sampleEvery = 5 * time.Second

// book takes notes.
type book struct {
	header http.Header

	closes   []int // by second
	moves    int
	polls    int
	samples  []Sample
	before   int // how many replicas there were before the scenario
	balanced time.Duration
	until    int
	settled  time.Duration // when the scenario's last event was
	largest  float64       // five minutes after
}

const settling = 5 * time.Minute

func (b *book) begin(w *world) {
	b.header = make(http.Header)
	b.before = len(w.replicas)
	b.balanced = -time.Second
	b.settled = w.now
	b.sample(w)
}

// eventful notes that the scenario is not over before now.
func (b *book) eventful(w *world) { b.settled = w.now }

// closed counts a close by the policy; a drain's is the scenario's.
func (b *book) closed(r *replica) {
	if !r.ctl.Draining() {
		b.closes[len(b.closes)-1]++
	}
}

// note is called after every step.
func (b *book) note(w *world) {
	passed := w.now - w.start
	if passed%time.Second != 0 {
		return
	}
	if b.balanced < 0 && b.arrived(w) {
		b.balanced, b.until = passed, b.total()
	}
	if w.now == b.settled+settling {
		b.largest = largest(w)
	}
	if passed%sampleEvery == 0 {
		b.sample(w)
	}
	if w.Progress != nil && passed%(10*time.Second) == 0 {
		w.Progress(passed)
	}
	b.closes = append(b.closes, 0)
}

func (b *book) total() (n int) {
	for _, c := range b.closes {
		n += c
	}
	return n
}

// arrived reports whether those that came with the scenario have 90 % of their
// fair share.
func (b *book) arrived(w *world) bool {
	fresh, connections := 0, 0
	for _, r := range w.replicas[b.before:] {
		if r.up {
			fresh++
			connections += r.connections
		}
	}
	return fresh > 0 && float64(connections) >= 0.9*float64(fresh)*float64(w.Clients)/float64(w.Replicas)
}

func largest(w *world) float64 {
	most, up, connections := 0, 0, 0
	for _, r := range w.replicas {
		if r.up {
			up++
			connections += r.connections
			most = max(most, r.connections)
		}
	}
	return float64(most) * float64(up) / float64(max(connections, 1))
}

func (b *book) sample(w *world) {
	s := Sample{At: w.now - w.start, Connections: make([]int, len(w.replicas))}
	for i, r := range w.replicas {
		if s.Connections[i] = r.connections; !r.up {
			s.Connections[i] = -1
		}
	}
	b.samples = append(b.samples, s)
	if len(b.closes) == 0 {
		b.closes = append(b.closes, 0)
	}
}

func (b *book) minutes() (closes []int) {
	for second, n := range b.closes {
		if second%60 == 0 {
			closes = append(closes, 0)
		}
		closes[len(closes)-1] += n
	}
	return closes
}

func (b *book) result(w *world) Result {
	last := b.closes[len(b.closes)*2/3:]
	atEnd := 0
	for _, n := range last {
		atEnd += n
	}
	r := Result{
		Scenario: w.Scenario.Name, Policy: w.Policy.Name, Placement: w.Placement,
		Balanced: b.balanced.Seconds(), ClosesUntil: b.until, Closes: b.total(),
		EndRate:      float64(atEnd) / float64(len(last)),
		LargestAfter: b.largest, LargestAtEnd: largest(w),
		Moves:          float64(b.moves) / float64(w.Clients),
		PollsPerSecond: float64(b.polls) / w.Duration.Seconds() / float64(w.Replicas),
		ClosesByMinute: b.minutes(),
		Samples:        b.samples,
	}
	if r.Balanced < 0 {
		r.ClosesUntil = r.Closes
	}
	return r
}
