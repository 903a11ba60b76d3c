package quiesce

import (
	"context"
	"os"
	"syscall"
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
// The kernel has them in an array, in the order in which they began to listen, and
// a program of one instruction that returns an index chooses among them. The
// successor came second:
//
//	[own, successor]   return 1
//
// except where there were three of them once, because when a socket leaves the
// array the last one takes its place: of [predecessor, own, successor] is left
// [successor, own]. Nothing tells the order, so that it is tried: once those who
// had begun before the program are through, nobody comes any more if the index is
// right. Where nobody connects either will do.
//
// A program stays behind when its process ends. With one socket left its index is
// out of range, and then the kernel chooses as without a program.
func (l *Listener) steer(ctx context.Context, table *table) {
	own, others, err := table.listeners()
	if err != nil || len(sharing(own, others)) != 1 {
		return
	}
	for _, index := range [...]uint32{1, 0, 1, 0} {
		if err := control(l.Socket, func(fd int) error { return choose(fd, index) }); err != nil {
			return
		}
		if err := l.acceptUntilEmpty(ctx, table); err != nil {
			return
		}
		before := l.late.Load()
		if !sleep(ctx, moment) || l.late.Load() == before {
			return
		}
	}
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

// choose attaches to the group of a socket the program "return index".
func choose(fd int, index uint32) error {
	program := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K, K: index}}
	sockFprog := &syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	// Package syscall has no other way to set an option that is a struct, with
	// which it is right on every architecture. The kernel only reads.
	bytes := unsafe.String((*byte)(unsafe.Pointer(sockFprog)), unsafe.Sizeof(*sockFprog))
	return os.NewSyscallError("setsockopt", syscall.SetsockoptString(fd, syscall.SOL_SOCKET, soAttachReuseportCBPF, bytes))
}

// forgetSteering detaches what a predecessor has left attached. It fails where
// there is nothing, and on kernels before 5.3, where nothing is lost by it: the
// program chooses the socket that came last.
func forgetSteering(socket syscall.Conn) {
	_ = control(socket, func(fd int) error {
		return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, soDetachReuseportBPF, 0)
	})
}
