package clienttest

import (
	"testing"
	"time"
)

// longestStandstill leaves half of the second after which a SYN is sent again, the
// shortest of the times that a client or a server waits for the other one.
const longestStandstill = 500 * time.Millisecond

// measurements is how often Undisturbed measures at most.
const measurements = 5

// Undisturbed returns what measure does. Where that is spoiled and the machine stood
// still meanwhile, it measures again: a side that did not get its turn for longer than
// the other one waits for it has lost a request, whatever the library does.
func Undisturbed[T any](t testing.TB, measure func() (measured T, stood time.Duration), spoiled func(T) bool) (measured T) {
	t.Helper()
	for range measurements {
		var stood time.Duration
		measured, stood = measure()
		if stood < longestStandstill || !spoiled(measured) {
			break
		}
		t.Logf("measured again: the machine stood still for %v", stood)
	}
	return measured
}

// Watched is a measurement for Undisturbed, of something in this process.
func Watched[T any](measure func() T) func() (measured T, stood time.Duration) {
	return func() (measured T, stood time.Duration) {
		standstill := WatchForStandstill()
		defer func() { stood = standstill() }()
		return measure(), 0
	}
}

// WatchForStandstill returns a function that ends the watch, and returns for how long
// at most the process did not get its turn: how late a timer was.
func WatchForStandstill() (longest func() time.Duration) {
	const often = 10 * time.Millisecond
	end, found := make(chan struct{}), make(chan time.Duration)
	go func() {
		var longest time.Duration
		for last := time.Now(); ; {
			select {
			case <-end:
				found <- max(longest, time.Since(last)-often)
				return
			case <-time.After(often):
				now := time.Now()
				longest = max(longest, now.Sub(last)-often)
				last = now
			}
		}
	}()
	return func() time.Duration {
		close(end)
		return <-found
	}
}
