package differential

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// impatience is a bound below clienttest.Patience, while a program that fails is
// made smaller; 0 for none.
var impatience atomic.Int64

// bound is for every wait for something that is certain to come.
func bound() time.Duration {
	if d := impatience.Load(); d > 0 {
		return time.Duration(d)
	}
	return clienttest.Patience
}

// eventually waits until holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(bound()); !holds(); {
		if time.Now().After(end) {
			t.Errorf("still not: %s", what)
			return
		}
		time.Sleep(200 * time.Microsecond)
	}
}

// receive waits for a value or the closing of the channel.
func receive[T any](t testing.TB, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(bound()):
		t.Errorf("still not: %s", what)
	}
	return value
}

// waited returns a channel that is closed when group is done.
func waited(group *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		group.Wait()
	}()
	return done
}
