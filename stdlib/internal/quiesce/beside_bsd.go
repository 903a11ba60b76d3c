//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package quiesce

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// shareAddress lets a socket be bound to an address that others of the same user
// have already, if they let it as well. New connections go to the latest of them.
func shareAddress(fd uintptr) error {
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEPORT, 1))
}

// explain says why an address cannot be shared.
func explain(err error) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	return fmt.Errorf("%w: a socket of another user, or one that was bound without SO_REUSEPORT, listens there", err)
}
