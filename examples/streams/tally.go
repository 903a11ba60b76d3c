package main

import "sync"

// counts are what the clients of one kind saw.
type counts struct {
	Kind    string `json:"kind,omitempty"`
	Streams int    `json:"streams"`
	// Opened is the number of times that a stream was opened: once at first, and
	// again after each end, which it was Told of or Cut without a word.
	Opened int `json:"opened"`
	Told   int `json:"told"`
	Cut    int `json:"cut"`
	// Messages is the number of events received in their order, or of messages
	// answered. Lost are events never seen, and messages that were sent and not
	// answered: a client cannot know whether to send such a one again. Doubled
	// are events seen, or messages answered, more than once.
	Messages int `json:"messages"`
	Lost     int `json:"lost"`
	Doubled  int `json:"doubled"`
}

// tally is counts that many clients add to.
type tally struct {
	mu sync.Mutex
	counts
}

func newTally(kind string, streams int) *tally {
	return &tally{counts: counts{Kind: kind, Streams: streams}}
}

func (t *tally) opened() { t.add(&t.Opened, 1) }

func (t *tally) ended(told bool) {
	if told {
		t.add(&t.Told, 1)
	} else {
		t.add(&t.Cut, 1)
	}
}

func (t *tally) message()   { t.add(&t.Messages, 1) }
func (t *tally) lost(n int) { t.add(&t.Lost, n) }
func (t *tally) doubled()   { t.add(&t.Doubled, 1) }

func (t *tally) add(to *int, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*to += n
}
