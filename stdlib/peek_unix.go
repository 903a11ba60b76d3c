//go:build unix

package stdlib

import (
	"net"
	"syscall"
)

// peek reports whether there is something to read from the socket, without reading
// it. Sockets of package net never wait.
func peek(socket *net.TCPConn) (found bool) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		found = err == nil && n > 0
	})
	return found
}
