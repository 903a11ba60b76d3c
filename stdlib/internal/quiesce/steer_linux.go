package quiesce

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// Of asm-generic/socket.h, the same on every architecture that Go has.
const (
	soAttachReuseportCBPF = 51
	soDetachReuseportBPF  = 68
)

// steer makes the kernel give new connections to the successor, if the sockets that
// share the address are exactly the two.
//
// The kernel has them in an array, and a program of one instruction that returns an
// index chooses among them. The successor came second:
//
//	[own, successor]   return 1
//
// except where there were three of them once, because when a socket leaves the
// array the last one takes its place: of [predecessor, own, successor] is left
// [successor, own]. Nothing tells the order, so that the socket connects to itself
// to find out.
//
// A program stays behind when its process ends. With one socket left its index is
// out of range, and then the kernel chooses as without a program.
func (l *Listener) steer(giveUp <-chan struct{}, table *table) {
	own, others, err := table.listeners()
	if err != nil || len(sharing(own, others)) != 1 {
		return
	}
	successor := uint32(1)
	if !l.isAt(giveUp, 0, roundTrip) && l.isAt(giveUp, 1, longest) {
		successor = 0
	}
	if l.choose(successor) == nil {
		// Nobody has to be kept off who was on the way before.
		_ = table.awaitHandshakes(giveUp)
	}
}

// isAt reports whether the socket itself has the index in the kernel's array, as
// far as that can be found out: who is sent there comes out here.
func (l *Listener) isAt(giveUp <-chan struct{}, index uint32, patience time.Duration) bool {
	if l.choose(index) != nil {
		return false
	}
	found, end, err := l.visitor.connect(l.Addr(), patience)
	if err != nil {
		return false
	}
	defer end()
	select {
	case <-found:
		return true
	case <-time.After(patience):
	case <-giveUp:
	}
	return false
}

// sharing returns the sockets that are in own's group: new connections are
// distributed among them.
func sharing(own listening, others []listening) (group []listening) {
	for _, other := range others {
		if other.id.source() == own.id.source() && other.v6only == own.v6only && other.user == own.user {
			group = append(group, other)
		}
	}
	return group
}

// choose attaches to the sockets that share the address the program "return index".
func (l *Listener) choose(index uint32) error {
	program := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: index}}
	sockFprog := &syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// Package syscall has no other way to set an option that is a struct, with
	// which it is right on every architecture. The kernel only reads.
	bytes := unsafe.String((*byte)(unsafe.Pointer(sockFprog)), unsafe.Sizeof(*sockFprog))
	return control(l.Socket, func(fd int) error {
		return os.NewSyscallError("setsockopt", syscall.SetsockoptString(fd, syscall.SOL_SOCKET, soAttachReuseportCBPF, bytes))
	})
}

// forgetSteering detaches what a predecessor has left attached. It fails where
// there is nothing, and on kernels before 5.3, where nothing is lost by it: the
// program chooses the socket that came last.
func forgetSteering(socket syscall.Conn) {
	_ = control(socket, func(fd int) error {
		return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soDetachReuseportBPF, 0)
	})
}
