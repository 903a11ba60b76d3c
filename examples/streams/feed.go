package main

import (
	"sync"
	"time"
)

// feed numbers the events, from 1. It outlives the generations, as a database
// would.
type feed struct {
	mu   sync.Mutex
	last int
	more chan struct{} // closed with the next event
}

func newFeed() *feed { return &feed{more: make(chan struct{})} }

// newest returns the number of the newest event, and what closes with the next one.
func (f *feed) newest() (number int, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last, f.more
}

func (f *feed) publish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	close(f.more)
	f.more = make(chan struct{})
}

// start publishes an event after each interval. The returned function ends that;
// it publishes the last event after it has told its number.
func (f *feed) start(interval time.Duration) (stop func(tell func(final int))) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				f.publish()
			case <-stopping:
				return
			}
		}
	}()
	return func(tell func(final int)) {
		close(stopping)
		<-stopped
		tell(f.last + 1)
		f.publish()
	}
}
