//go:build !unix && !windows

package load

import (
	"fmt"
	"runtime"
	"time"

	"github.com/politeclose/politeclose/core"
)

func processTime() (time.Duration, error) {
	return 0, fmt.Errorf("%s does not tell a process its CPU time: %w", runtime.GOOS, core.ErrSignalUnavailable)
}
