package callback

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Patience is how long an exchange waits for a user's function that is read
	// from time to time. Most answer within microseconds.
	Patience = 20 * time.Millisecond
	// hangs is after how long a function is said not to answer.
	hangs = int64(time.Second)
)

// Poll reads a user's functions at most once per interval:
//
//  1. Whichever exchange comes first when the interval is over starts the
//     reading, on a goroutine of its own, and waits for it, so that it goes by
//     the answer.
//  2. Where there is none after a moment it goes on with the last known one.
//     The reading stores its answer whenever it has one.
//  3. Until then no other reading begins, and nobody else waits.
//
// Times are nanoseconds on one clock that starts above 0.
type Poll struct {
	interval int64
	read     func(now int64)
	hanging  func() // called once, when a reading has lasted for a second
	inPlace  bool

	next    atomic.Int64 // when the next reading may begin
	reading atomic.Bool
	said    sync.Once
}

// Init must be called before anything else. hanging is called once, when a
// reading has lasted for a second.
func (p *Poll) Init(interval int64, read func(now int64), hanging func()) {
	p.interval, p.read, p.hanging = interval, read, hanging
}

// InPlace makes whoever comes first read by itself, however long that takes:
// for a simulation, where no time passes meanwhile.
func (p *Poll) InPlace() { p.inPlace = true }

// Wait puts the first reading off for an interval.
func (p *Poll) Wait() { p.next.Store(p.interval) }

// Refresh reads if the last reading is old enough. Where it is not, this costs
// one atomic load.
func (p *Poll) Refresh(now int64) {
	if now >= p.next.Load() {
		p.refresh(now)
	}
}

func (p *Poll) refresh(now int64) {
	if !p.reading.CompareAndSwap(false, true) {
		if now >= p.next.Load()-p.interval+hangs {
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
	enough := time.NewTimer(Patience)
	defer enough.Stop()
	select {
	case <-done:
	case <-enough.C:
	}
}
