// Package leaving closes channels when streams have to go: at a connection's
// own moment in a drain, at a limit of its own, and when its client has gone.
//
// A reason is a number that the caller gives a meaning to. The zero reason is
// that nobody is left to be told.
package leaving

import (
	"context"
	"time"

	"github.com/politeclose/politeclose/core/internal/shed"
)

// Channel is closed once, when a stream has to go. All methods are safe for
// concurrent use.
type Channel struct {
	C   chan struct{}
	lot shed.Lot
	all *Channels // nil of Over

	// What may close it. They belong to all.mu.
	drain   *time.Timer // nil while there is no drain
	asking  *time.Timer // nil without a limit of its own
	unwatch func() bool
	reason  uint32
}

// Over is the channel of every stream that is over.
var Over = func() *Channel {
	l := &Channel{C: make(chan struct{})}
	close(l.C)
	return l
}()

// Closed reports whether the channel is closed.
func (l *Channel) Closed() bool {
	select {
	case <-l.C:
		return true
	default:
		return false
	}
}

// Reason returns why the channel was closed, 0 while it is open.
func (l *Channel) Reason() uint32 {
	if l.all == nil {
		return 0
	}
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	return l.reason
}

// Follow closes the channel when ctx is done, unless ignore says then that this
// means nothing.
func (l *Channel) Follow(ctx context.Context, ignore func() bool) {
	stop := context.AfterFunc(ctx, func() {
		if !ignore() {
			l.Close(0)
		}
	})
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if _, open := l.all.open[l]; !open {
		stop()
		return
	}
	l.unwatch = stop
}

// AskAfter asks for the first time after d, and then once a second as long as
// the answer wants it. A reason closes the channel.
func (l *Channel) AskAfter(d time.Duration, ask func() (reason uint32, again bool)) {
	l.all.mu.Lock()
	defer l.all.mu.Unlock()
	if _, open := l.all.open[l]; !open {
		return
	}
	l.asking = time.AfterFunc(d, func() {
		switch reason, again := ask(); {
		case reason != 0:
			l.Close(reason)
		case again:
			l.AskAfter(time.Second, ask)
		}
	})
}

// Close closes the channel and everything that waited to do so.
func (l *Channel) Close(reason uint32) {
	if l.all != nil {
		l.all.remove(l, reason)
	}
}
