// Package callback asks users' functions: none of them can take a response down
// with a panic, and none is waited for without a bound.
package callback

import (
	"fmt"
	"log/slog"
	"sync"
)

// Guard keeps a panic of a user's function out of the response that asked it.
// The zero value is ready.
type Guard struct{ said sync.Once }

// Caught is to be deferred around the call. It turns a panic into a zero
// answer, and says so the first time.
func Caught[T any](g *Guard, logger *slog.Logger, what string, answer *T) {
	if v := recover(); v != nil {
		*answer = *new(T)
		g.said.Do(func() {
			logger.Error("politeclose: "+what+" panicked and counts as "+fmt.Sprint(*answer)+"; this is said once", "panic", v)
		})
	}
}
