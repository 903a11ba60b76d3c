//go:build !linux

package quiesce

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"
)

// moment is how long nobody has to have come.
const moment = 5 * time.Millisecond

func (l *Listener) empty(giveUp <-chan struct{}) error {
	l.acceptUntilQuiet(giveUp, moment)
	return fmt.Errorf("cannot keep new connections off a listening socket on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func disinherit(net.Conn) {}

func forgetSteering(syscall.Conn) {}
