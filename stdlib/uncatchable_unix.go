//go:build unix

package stdlib

import (
	"os"
	"syscall"
)

// uncatchable are the signals that end or stop a process without asking it.
var uncatchable = []os.Signal{syscall.SIGKILL, syscall.SIGSTOP}
