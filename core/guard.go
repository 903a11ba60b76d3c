package core

import (
	"log/slog"
	"sync"
)

// guard keeps a panic of a user's function out of the response that asked it.
type guard struct{ said sync.Once }

// caught is to be deferred around the call. It turns a panic into a zero answer,
// and says so the first time.
func caught[T any](g *guard, logger *slog.Logger, what string, answer *T) {
	if v := recover(); v != nil {
		*answer = *new(T)
		g.said.Do(func() {
			logger.Error("politeclose: "+what+" panicked and counts as false; this is said once", "panic", v)
		})
	}
}
