package stdlib_test

import (
	"syscall"
	"testing"
)

// keepsPacketsOff reports whether a socket of IPv4 has the option with which a
// listening socket is emptied.
func keepsPacketsOff(t *testing.T, c syscall.Conn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Error(err)
		return false
	}
	var ttl int
	if controlErr := raw.Control(func(fd uintptr) {
		ttl, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MINTTL)
	}); err != nil || controlErr != nil {
		t.Error(err, controlErr)
	}
	return ttl > 0
}
