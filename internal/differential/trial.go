package differential

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// trial is a test whose failures are kept.
type trial struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
}

// do runs f, which may end its goroutine, and the clean-up of f.
func (t *trial) do(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.clean()
		f()
	}()
	<-done
}

func (t *trial) Helper() {}

func (t *trial) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

func (t *trial) Error(args ...any) { t.Errorf("%s", fmt.Sprint(args...)) }
func (t *trial) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

func (t *trial) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

func (t *trial) clean() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}
