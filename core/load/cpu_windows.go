package load

import (
	"fmt"
	"syscall"
	"time"

	"github.com/politeclose/politeclose/core"
)

// processTime is what the process used in user and kernel mode.
func processTime() (time.Duration, error) {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, fmt.Errorf("GetCurrentProcess: %w: %w", err, core.ErrSignalUnavailable)
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(self, &created, &exited, &kernel, &user); err != nil {
		return 0, fmt.Errorf("GetProcessTimes: %w: %w", err, core.ErrSignalUnavailable)
	}
	return duration(kernel) + duration(user), nil
}

// duration is of a Filetime that counts 100 ns since zero and not since 1601.
func duration(t syscall.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}
