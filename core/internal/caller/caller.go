// Package caller finds out who has called.
package caller

import (
	"runtime"
	"slices"
	"strings"
)

// Outside returns the first frame of this goroutine whose function's full name
// begins with none of the prefixes.
func Outside(prefixes ...string) (frame runtime.Frame) {
	pc := make([]uintptr, 16)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	for more := true; more; {
		frame, more = frames.Next()
		if !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(frame.Function, prefix) }) {
			break
		}
	}
	return frame
}
