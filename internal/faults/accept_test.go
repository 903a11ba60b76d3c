package faults

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// exhausted is a listener of a process that has no file descriptor left for a while: the clients wait in the queue.
type exhausted struct {
	net.Listener
	left   atomic.Int32 // how often Accept still fails
	failed atomic.Int32
}

func (l *exhausted) Accept() (net.Conn, error) {
	for left := l.left.Load(); left > 0; left = l.left.Load() {
		if l.left.CompareAndSwap(left, left-1) {
			l.failed.Add(1)
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: os.NewSyscallError("accept4", syscall.EMFILE)}
		}
	}
	return l.Listener.Accept()
}

func TestNobodyIsLostWhileThereIsNoFileDescriptorForThem(t *testing.T) {
	const failures, clients = 3, 20
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		s := newServer(t, servertest.Hello)
		l := &exhausted{Listener: s.Listener}
		s.Listener = l
		l.left.Store(failures)
		s.start(over, stdlib.LameDuck(far), stdlib.DrainTimeout(2*far))
		kept := make([]*clienttest.Conn, clients)
		for i := range kept {
			kept[i] = over.Dial(t, s.Address)
			kept[i].ExpectKept(expectHello(t, kept[i].Get("/")))
		}
		s.BeginDrain()
		l.left.Store(failures)
		for range clients {
			c := over.Dial(t, s.Address)
			c.ExpectClosed(expectHello(t, c.Get("/")))
			c.Close()
		}
		for _, c := range kept {
			c.ExpectClosed(expectHello(t, c.Get("/")))
			c.Close()
		}
		s.isEmpty()
		s.Force() // ends the lame duck
		s.expectEnd(stdlib.Report{Announced: 2 * clients, Served: 2 * clients}, nil)
		if got := l.failed.Load(); got != 2*failures {
			t.Errorf("Accept failed %d times, want %d", got, 2*failures)
		}
		if stats := s.Controller.Stats(); stats.Exchanges != 3*clients || stats.Closes[core.ReasonDrain] != 2*clients {
			t.Errorf("the statistics are %+v", stats)
		}
	})
}
