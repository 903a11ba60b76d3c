// Package fanout hands values to listeners on a goroutine of its own, so that
// who has a value to tell never waits for who wants to know it.
package fanout

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Fanout hands each value to every listener, in the order in which they were
// added. It must not be copied; all methods are safe for concurrent use.
//
// Values wait in a queue. A goroutine takes all that wait at once, hands them
// on one after another, and ends when it finds nothing waiting:
//
//	Add(a)  waiting a       → a goroutine begins and takes a
//	Add(b)  waiting b         (a is being handed on)
//	Add(c)  waiting b, c      it takes b and c, then ends
//	Add(d)  waiting d       → another goroutine begins and takes d
//
// So there is no goroutine where nothing happens, and never more than one.
type Fanout[T any] struct {
	// Panicked is told of a panic of a listener, which loses that value and
	// stays.
	Panicked func(value any)
	// Complete, where it is given, returns what the listeners are told in a
	// value's place. It is called once for each, where nobody waits for it.
	Complete func(T) T

	listeners atomic.Pointer[[]*listener[T]] // nil while there is none
	dropped   atomic.Uint64

	mu      sync.Mutex
	waiting []item[T]
	running bool // there is a goroutine
}

type listener[T any] struct{ hear func(T) }

// item is what waits: a value, or a Flush that wants to know when all before it
// has been handed on.
type item[T any] struct {
	value T
	flush chan struct{}
}

const (
	// limit is how many values may wait: twice what the drain of a server with
	// 10,000 connections has to tell.
	limit = 1 << 14
	// reserve is how many more may wait of those that are rare and matter most.
	reserve = 64
)

// Heard reports whether there is a listener. It is one atomic load.
func (f *Fanout[T]) Heard() bool { return f.listeners.Load() != nil }

// Dropped returns how many values found the queue full.
func (f *Fanout[T]) Dropped() uint64 { return f.dropped.Load() }

// Listen adds a listener. stop removes it again, and may be called from within
// hear; a call that is under way then goes on.
func (f *Fanout[T]) Listen(hear func(T)) (stop func()) {
	added := &listener[T]{hear}
	f.change(func(all []*listener[T]) []*listener[T] { return append(all, added) })
	return sync.OnceFunc(func() {
		f.change(func(all []*listener[T]) []*listener[T] {
			return slices.DeleteFunc(all, func(l *listener[T]) bool { return l == added })
		})
	})
}

func (f *Fanout[T]) change(edit func([]*listener[T]) []*listener[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*listener[T]
	if old := f.listeners.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = edit(all); len(all) == 0 {
		f.listeners.Store(nil)
		return
	}
	f.listeners.Store(&all)
}

// Add hands on value, unless nobody listens. It drops and counts one for which
// there is no room; a rare one has room where others have none.
func (f *Fanout[T]) Add(value T, rare bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	room := limit
	if rare {
		room += reserve
	}
	switch {
	case !f.Heard():
	case len(f.waiting) >= room:
		f.dropped.Add(1)
	default:
		f.add(item[T]{value: value})
	}
}

func (f *Fanout[T]) add(one item[T]) {
	f.waiting = append(f.waiting, one)
	if !f.running {
		f.running = true
		go f.run(f.take())
	}
}

// take returns what waits, nil for nothing.
func (f *Fanout[T]) take() (waiting []item[T]) {
	waiting, f.waiting = f.waiting, nil
	return waiting
}

func (f *Fanout[T]) run(taken []item[T]) {
	defer func() {
		if taken != nil { // a listener has called runtime.Goexit
			go f.run(taken)
		}
	}()
	for taken != nil {
		for len(taken) > 0 {
			one := taken[0]
			taken = taken[1:]
			f.hand(one)
		}
		f.mu.Lock()
		taken = f.take()
		f.running = taken != nil
		f.mu.Unlock()
	}
}

func (f *Fanout[T]) hand(one item[T]) {
	if one.flush != nil {
		close(one.flush)
		return
	}
	// Asked for each value anew, so that who has stopped is told no more.
	all := f.listeners.Load()
	if all == nil {
		return
	}
	if f.Complete != nil {
		one.value = f.Complete(one.value)
	}
	f.tell(*all, one.value)
}

func (f *Fanout[T]) tell(all []*listener[T], value T) {
	for i, l := range all {
		f.call(l, value, all[i+1:])
	}
}

// call tells one listener. Where that calls runtime.Goexit, and so ends the
// goroutine, the others are told before it ends.
func (f *Fanout[T]) call(l *listener[T], value T, others []*listener[T]) {
	returned := false
	defer func() {
		switch v := recover(); {
		case v != nil:
			f.Panicked(v)
		case !returned:
			f.tell(others, value)
		}
	}()
	l.hear(value)
	returned = true
}

// Flush waits until what was added before has been handed on, patience at most,
// and reports whether it was. It must not be called by a listener.
func (f *Fanout[T]) Flush(patience time.Duration) bool {
	if !f.Heard() {
		return true
	}
	done := make(chan struct{})
	f.mu.Lock()
	f.add(item[T]{flush: done})
	f.mu.Unlock()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-done:
		return true
	case <-timeout.C:
		return false
	}
}
