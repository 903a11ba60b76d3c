//go:build !linux

package stdlib_test

import (
	"syscall"
	"testing"
)

func keepsPacketsOff(*testing.T, syscall.Conn) bool { return false }

// awaitEmptying cannot see it here.
func awaitEmptying(*testing.T, string) {}
