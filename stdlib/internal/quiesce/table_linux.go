package quiesce

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
)

// table is the kernel's list of TCP sockets with the port of one listening socket,
// as sock_diag(7) has it. It needs no privilege. /proc/net/tcp tells the same, but
// takes 2 µs for each connection of the machine.
type table struct {
	netlink int
	family  byte
	port    uint16
	inode   uint32 // of the socket
}

// Of net/tcp_states.h.
const (
	stateSynRecv = 3
	stateListen  = 10
)

// openTable opens the table of a listening TCP socket. An error says that it
// cannot be had.
func openTable(socket syscall.Conn) (*table, error) {
	t := &table{}
	err := control(socket, func(fd int) error {
		var stat syscall.Stat_t
		if err := syscall.Fstat(fd, &stat); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		t.inode = uint32(stat.Ino)
		address, err := syscall.Getsockname(fd)
		if err != nil {
			return os.NewSyscallError("getsockname", err)
		}
		switch a := address.(type) {
		case *syscall.SockaddrInet4:
			t.family, t.port = syscall.AF_INET, uint16(a.Port)
		case *syscall.SockaddrInet6:
			t.family, t.port = syscall.AF_INET6, uint16(a.Port)
		default:
			return errors.New("the listening socket is not one of TCP")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if t.netlink, err = openNetlink(); err != nil {
		return nil, err
	}
	if _, _, err := t.listeners(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *table) close() { syscall.Close(t.netlink) }

// handshakes returns those under way to the port, whichever socket they belong to.
func (t *table) handshakes() (map[socketID]bool, error) {
	found := map[socketID]bool{}
	err := dump(t.netlink, t.family, t.port, stateSynRecv, func(message []byte) {
		found[socketID(message[4:52])] = true
	})
	return found, err
}

// waiting returns how many connections are in the accept queue of the socket.
func (t *table) waiting() (int, error) {
	own, _, err := t.listeners()
	return int(own.waiting), err
}

// listeners returns the socket itself, and the others that listen on the port.
func (t *table) listeners() (own listening, others []listening, err error) {
	err = dump(t.netlink, t.family, t.port, stateListen, func(message []byte) {
		if l := listeningOf(message); l.inode == t.inode {
			own = l
		} else {
			others = append(others, l)
		}
	})
	if err == nil && own.inode == 0 {
		err = errors.New("the kernel does not list the listening socket")
	}
	return own, others, err
}

// listening is a socket that listens.
type listening struct {
	id      socketID
	waiting uint32 // in its accept queue
	user    uint32
	inode   uint32
	v6only  bool
}

// listeningOf reads a struct inet_diag_msg: four bytes, the id, and from 52 on
// expires, rqueue, wqueue, uid and inode.
func listeningOf(message []byte) listening {
	return listening{
		id:      socketID(message[4:52]),
		waiting: binary.NativeEndian.Uint32(message[56:]),
		user:    binary.NativeEndian.Uint32(message[64:]),
		inode:   binary.NativeEndian.Uint32(message[68:]),
		v6only:  isV6only(message[diagMessage:]),
	}
}

// isV6only looks for the attribute INET_DIAG_SKV6ONLY of linux/inet_diag.h.
func isV6only(attributes []byte) bool {
	const header, v6only = 4, 11
	for len(attributes) > header {
		length := int(binary.NativeEndian.Uint16(attributes))
		if length < header || length > len(attributes) {
			return false
		}
		if binary.NativeEndian.Uint16(attributes[2:]) == v6only {
			return length > header && attributes[header] != 0
		}
		attributes = attributes[min((length+3)&^3, len(attributes)):]
	}
	return false
}

// socketID is a struct inet_diag_sockid: the ports, the addresses at 4 and 20, the
// interface at 36, and a cookie that no two sockets share.
type socketID [48]byte

// source is what a listening socket is bound to: port, address and interface.
func (id *socketID) source() (s [2 + 16 + 4]byte) {
	copy(s[:2], id[0:2])
	copy(s[2:18], id[4:20])
	copy(s[18:], id[36:40])
	return s
}

// address is the one that a socket of the family is bound to.
func (id *socketID) address(family byte) netip.Addr {
	if family == syscall.AF_INET {
		return netip.AddrFrom4([4]byte(id[4:8]))
	}
	return netip.AddrFrom16([16]byte(id[4:20]))
}
