//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package quiesce

import (
	"errors"
	"fmt"
	"runtime"
)

func shareAddress(uintptr) error {
	return fmt.Errorf("sockets cannot share an address on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func explain(err error) error { return err }
