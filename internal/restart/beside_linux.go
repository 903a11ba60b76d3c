package restart

import "syscall"

func shareAddress(fd uintptr) error {
	const soReuseport = 15 // of asm-generic/socket.h
	return syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReuseport, 1)
}
