package clienttest

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// Eventually waits until holds, and fails the test if that takes longer than
// Patience. It asks often at first, and then more seldom: what takes a second is
// not to keep the processor from the tests beside it.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	const often, seldom = time.Millisecond, 10 * time.Millisecond
	pause := often
	for end := time.Now().Add(Patience); !holds(); pause = min(pause+pause/8, seldom) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s", Patience, what)
		}
		time.Sleep(pause)
	}
}

// Receive waits for a value or the closing of the channel, and fails the test if
// that takes longer than Patience.
func Receive[T any](t testing.TB, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(Patience):
		t.Fatalf("after %v still not: %s", Patience, what)
	}
	return value
}

// Goroutines returns the stacks of the goroutines that were started by, or are
// in, a function whose full name contains name.
func Goroutines(name string) (stacks []string) {
	buffer := make([]byte, 1<<20)
	for n := runtime.Stack(buffer, true); ; n = runtime.Stack(buffer, true) {
		if n < len(buffer) {
			buffer = buffer[:n]
			break
		}
		buffer = make([]byte, 2*len(buffer))
	}
	for stack := range strings.SplitSeq(string(buffer), "\n\n") {
		if strings.Contains(stack, name) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// ExpectNoGoroutine waits until no goroutine runs a function whose full name
// contains name.
func ExpectNoGoroutine(t testing.TB, name string) {
	t.Helper()
	for end := time.Now().Add(Patience); ; time.Sleep(time.Millisecond) {
		stacks := Goroutines(name)
		if len(stacks) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left in %s, one of them:\n%s", len(stacks), name, stacks[0])
		}
	}
}
