package stdlib_test

import (
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/politeclose/politeclose/internal/clienttest"
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

// awaitEmptying waits until the socket that listens on an address of IPv4 is being
// emptied, whoever has it in this process.
func awaitEmptying(t *testing.T, address string) {
	t.Helper()
	clienttest.Eventually(t, "the listening socket is being emptied", func() bool {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range open {
			fd, _ := strconv.Atoi(file.Name())
			listens, _ := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
			ttl, _ := syscall.GetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_MINTTL)
			name, _ := syscall.Getsockname(fd)
			own, ok := name.(*syscall.SockaddrInet4)
			if ok && listens != 0 && ttl > 0 && netip.AddrPortFrom(netip.AddrFrom4(own.Addr), uint16(own.Port)).String() == address {
				return true
			}
		}
		return false
	})
}
