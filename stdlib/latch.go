package stdlib

import (
	"sync"
	"time"
)

// latch is opened once, for all who wait.
type latch struct {
	once   sync.Once
	opened chan struct{}
}

func newLatch() *latch { return &latch{opened: make(chan struct{})} }

// open calls before, where it is not nil, ahead of whoever waits.
func (l *latch) open(before func()) {
	l.once.Do(func() {
		defer close(l.opened) // also where before ends its goroutine
		if before != nil {
			before()
		}
	})
}

func (l *latch) isOpen() bool {
	select {
	case <-l.opened:
		return true
	default:
		return false
	}
}

// opensWithin waits for as long as d.
func (l *latch) opensWithin(d time.Duration) bool {
	enough := time.NewTimer(d)
	defer enough.Stop()
	select {
	case <-l.opened:
		return true
	case <-enough.C:
		return false
	}
}
