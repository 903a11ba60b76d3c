package quiesce

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// shareAddress lets a socket be bound to an address that others of the same user
// have already, if they let it as well.
func shareAddress(fd uintptr) error {
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soReuseport, 1))
}

// explain says why an address cannot be shared.
func explain(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	address, ok := op.Addr.(*net.TCPAddr)
	if !ok {
		return err
	}
	user := uint32(os.Geteuid())
	for _, owner := range listenersOn(address.AddrPort()) {
		if owner != user {
			return fmt.Errorf("%w: a socket of user %d listens there, and user %d cannot share an address with another one", err, owner, user)
		}
	}
	return fmt.Errorf("%w: a socket that was bound without SO_REUSEPORT listens there", err)
}

// listenersOn returns the users of the sockets that are in the way of one on
// address.
func listenersOn(address netip.AddrPort) (users []uint32) {
	netlink, err := openNetlink()
	if err != nil {
		return nil
	}
	defer syscall.Close(netlink)
	for _, family := range []byte{syscall.AF_INET, syscall.AF_INET6} {
		_ = dump(netlink, family, address.Port(), stateListen, func(message []byte) {
			l := listeningOf(message)
			there := l.id.address(family).Unmap()
			if there == address.Addr().Unmap() || there.IsUnspecified() || address.Addr().IsUnspecified() {
				users = append(users, l.user)
			}
		})
	}
	return users
}
