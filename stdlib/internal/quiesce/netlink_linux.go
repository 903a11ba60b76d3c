package quiesce

import (
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
)

// Of linux/netlink.h, linux/sock_diag.h and linux/inet_diag.h.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	// diagMessage is the size of a struct inet_diag_msg; attributes follow.
	diagMessage = 72
)

// openNetlink opens the way on which sock_diag(7) is asked.
func openNetlink() (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return -1, fmt.Errorf("NETLINK_SOCK_DIAG: %w", os.NewSyscallError("socket", err))
	}
	// The kernel answers at once, but nobody may have to wait for it.
	limit := syscall.NsecToTimeval(longest.Nanoseconds())
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &limit); err != nil {
		syscall.Close(fd)
		return -1, os.NewSyscallError("setsockopt", err)
	}
	return fd, nil
}

// dump calls each with the struct inet_diag_msg of every TCP socket of a family
// that has the local port and the state.
func dump(netlink int, family byte, port uint16, state uint32, each func(message []byte)) error {
	err := syscall.Sendto(netlink, request(family, port, state), 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK})
	if err != nil {
		return fmt.Errorf("NETLINK_SOCK_DIAG: %w", os.NewSyscallError("sendto", err))
	}
	buffer := make([]byte, 32<<10) // more than the kernel puts into one answer
	for {
		n, _, err := syscall.Recvfrom(netlink, buffer, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("NETLINK_SOCK_DIAG: %w", os.NewSyscallError("recvfrom", err))
		}
		messages, err := syscall.ParseNetlinkMessage(buffer[:n])
		if err != nil {
			return fmt.Errorf("NETLINK_SOCK_DIAG: %w", err)
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == syscall.NLMSG_DONE:
				return nil
			case m.Header.Type == syscall.NLMSG_ERROR && len(m.Data) >= 4:
				number := -int32(binary.NativeEndian.Uint32(m.Data))
				return fmt.Errorf("NETLINK_SOCK_DIAG: %w", syscall.Errno(number))
			case m.Header.Type == sockDiagByFamily && len(m.Data) >= diagMessage:
				each(m.Data)
			}
		}
	}
}

// request is a struct nlmsghdr (16 bytes), a struct inet_diag_req_v2 (8 bytes), and
// in that a struct inet_diag_sockid, of which only the port is asked for.
func request(family byte, port uint16, state uint32) []byte {
	const size = 16 + 8 + 48
	b := make([]byte, 0, size)
	b = binary.NativeEndian.AppendUint32(b, size)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	b = append(b, make([]byte, 8)...) // sequence number and sender
	b = append(b, family, syscall.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 1<<state)
	b = binary.BigEndian.AppendUint16(b, port)
	return b[:size]
}
