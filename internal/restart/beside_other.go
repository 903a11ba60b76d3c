//go:build !linux

package restart

import "errors"

func shareAddress(uintptr) error { return errors.ErrUnsupported }
