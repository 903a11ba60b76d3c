package quiesce

import (
	"fmt"
	"os"
	"syscall"
)

const ipv6MinHopCount = 73 // IPV6_MINHOPCOUNT of linux/in6.h

// setMinTTL makes the kernel drop the packets for a socket that arrive with a
// smaller TTL. A socket of IPv6 may have IPv4's packets as well, which have an
// option of their own.
func setMinTTL(fd, ttl int) error {
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, syscall.IP_MINTTL, ttl); err != nil {
		return fmt.Errorf("IP_MINTTL: %w", os.NewSyscallError("setsockopt", err))
	}
	address, err := syscall.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	if _, ipv6 := address.(*syscall.SockaddrInet6); !ipv6 {
		return nil
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, ipv6MinHopCount, ttl); err != nil {
		return fmt.Errorf("IPV6_MINHOPCOUNT: %w", os.NewSyscallError("setsockopt", err))
	}
	return nil
}
