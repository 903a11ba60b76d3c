package core

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// guard keeps a panic of a user's function out of the response that asked it.
type guard struct{ said sync.Once }

// caught is to be deferred around the call. It turns a panic into a zero answer,
// and says so the first time.
func caught[T any](g *guard, logger *slog.Logger, what string, answer *T) {
	if v := recover(); v != nil {
		*answer = *new(T)
		g.said.Do(func() {
			logger.Error("politeclose: "+what+" panicked and counts as "+fmt.Sprint(*answer)+"; this is said once", "panic", v)
		})
	}
}

// match is one OnMatch rule.
type match struct {
	reason reasonIndex
	ask    func(*http.Request) bool
	guard  *guard
}

func newMatch(reason reasonIndex, ask func(*http.Request) bool) match {
	return match{reason, ask, new(guard)}
}

func (m *match) accepts(r *http.Request, logger *slog.Logger) (yes bool) {
	defer caught(m.guard, logger, "an OnMatch function", &yes)
	return m.ask(r)
}

const (
	// patience is how long an exchange waits for a user's function that is read
	// from time to time. Most answer within microseconds.
	patience = 20 * time.Millisecond
	// hangs is after how long a function is said not to answer.
	hangs = int64(time.Second)
)

// poll reads a user's functions at most once per interval:
//
//  1. Whichever exchange comes first when the interval is over starts the reading,
//     on a goroutine of its own, and waits for it, so that it goes by the answer.
//  2. Where there is none after a moment it goes on with the last known one. The
//     reading stores its answer whenever it has one.
//  3. Until then no other reading begins, and nobody else waits.
type poll struct {
	interval int64
	read     func(now int64)
	hanging  func() // called once, when a reading has lasted for a second
	inPlace  bool   // the exchange reads by itself, in a simulation

	next    atomic.Int64 // when the next reading may begin
	reading atomic.Bool
	said    sync.Once
}

func (p *poll) init(interval int64, read func(now int64), hanging func()) {
	p.interval, p.read, p.hanging = interval, read, hanging
}

// refresh reads if the last reading is old enough.
func (p *poll) refresh(now int64) {
	next := p.next.Load()
	if now < next {
		return
	}
	if !p.reading.CompareAndSwap(false, true) {
		if now >= next-p.interval+hangs {
			p.said.Do(p.hanging)
		}
		return
	}
	if now < p.next.Load() { // somebody else has just read
		p.reading.Store(false)
		return
	}
	p.next.Store(now + p.interval)
	if p.inPlace {
		defer p.reading.Store(false)
		p.read(now)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer p.reading.Store(false)
		p.read(now)
	}()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-done:
	case <-enough.C:
	}
}
