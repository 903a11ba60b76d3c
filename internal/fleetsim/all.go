package fleetsim

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// RunAll runs simulations, as many at once as there are CPUs, and returns their
// results in the same order. progress is told, never twice at once, what part
// is done.
func RunAll(ctx context.Context, all []Config, progress func(done float64)) ([]Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var total, passed time.Duration
	for _, cfg := range all {
		total += cfg.Duration
	}
	results := make([]Result, len(all))
	turns := make(chan int, len(all))
	for i := range all {
		turns <- i
	}
	close(turns)
	var mu sync.Mutex
	var first error
	var running sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(all)) {
		running.Go(func() {
			for i := range turns {
				cfg, before := all[i], time.Duration(0)
				cfg.Progress = func(now time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					passed += now - before
					before = now
					progress(float64(passed) / float64(total))
				}
				result, err := Run(ctx, cfg)
				results[i] = result
				if err != nil {
					mu.Lock()
					if first == nil {
						first = err
					}
					mu.Unlock()
					cancel()
				}
			}
		})
	}
	running.Wait()
	return results, first
}
