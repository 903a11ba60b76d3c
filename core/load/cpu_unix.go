//go:build unix

package load

import (
	"fmt"
	"syscall"
	"time"

	"github.com/politeclose/politeclose/core"
)

// processTime is what the process used in user and system mode. The runtime's
// own CPU metrics move only at a garbage collection.
func processTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("getrusage: %w: %w", err, core.ErrSignalUnavailable)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
