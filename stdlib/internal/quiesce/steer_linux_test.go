package quiesce_test

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib/internal/quiesce"
)

func listenBeside(t *testing.T, address string) *quiesce.Listener {
	t.Helper()
	l, err := quiesce.ListenBeside(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// visitors connect again and again, each time with a byte and for an answer.
type visitors struct {
	stop   chan struct{}
	all    sync.WaitGroup
	visits atomic.Int64
	waited atomic.Int64 // visits whose SYN was dropped
}

func visit(t *testing.T, address string) *visitors {
	v := &visitors{stop: make(chan struct{})}
	for range 8 {
		v.all.Go(func() {
			for {
				select {
				case <-v.stop:
					return
				case <-time.After(time.Millisecond):
				}
				waited, err := visitOnce(address)
				if err != nil {
					t.Error(err)
				}
				if waited {
					v.waited.Add(1)
				}
				v.visits.Add(1)
			}
		})
	}
	t.Cleanup(func() { v.end() })
	return v
}

// expectNobodyWaited fails the test if SYNs were dropped: they are sent again a
// second later. One is not held against the steps, whose faults drop those of all
// visitors: a virtual processor may have stood still with it for too long.
func (v *visitors) expectNobodyWaited(t *testing.T) {
	t.Helper()
	if n := v.waited.Load(); n > 1 {
		t.Errorf("%d of %d visitors had to send their SYN again", n, v.visits.Load())
	}
}

func visitOnce(address string) (waited bool, err error) {
	c, err := net.DialTimeout("tcp", address, clienttest.Patience)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if waited, err = sentAgain(c.(*net.TCPConn)); err != nil {
		return false, err
	}
	c.SetDeadline(time.Now().Add(clienttest.Patience))
	if _, err := c.Write([]byte{'x'}); err != nil {
		return waited, err
	}
	_, err = c.Read(make([]byte, 1))
	return waited, err
}

// sentAgain reports whether anything was sent more than once over a connection.
func sentAgain(c *net.TCPConn) (again bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false, err
	}
	const totalRetrans = 100 // where tcpi_total_retrans is in a struct tcp_info of linux/tcp.h
	var info [totalRetrans + 4]byte
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		size := uint32(len(info))
		_, _, errno = syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	if errno != 0 {
		err = errno
	}
	return binary.NativeEndian.Uint32(info[totalRetrans:]) > 0, err
}

func (v *visitors) end() {
	select {
	case <-v.stop:
	default:
		close(v.stop)
	}
	v.all.Wait()
}

// answer gives every visitor of a listener his answer, and counts them.
func answer(l net.Listener) *atomic.Int64 {
	count := &atomic.Int64{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(clienttest.Patience))
				b := make([]byte, 1)
				if _, err := c.Read(b); err == nil {
					c.Write(b)
				}
			}()
		}
	}()
	return count
}

func expectVisits(t *testing.T, what string, count *atomic.Int64) {
	t.Helper()
	before := count.Load()
	clienttest.Eventually(t, what, func() bool { return count.Load() > before+20 })
}

func TestASuccessorGetsEverybodyAndNobodyWaits(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		t.Run(address, func(t *testing.T) {
			current := listenBeside(t, address)
			answer(current)
			visitors := visit(t, current.Addr().String())
			for range 20 {
				next := listenBeside(t, current.Addr().String())
				expectVisits(t, "the successor has visitors", answer(next))
				if err := clienttest.Receive(t, "left", leave(current, nil)); err != nil {
					t.Error(err)
				}
				current = next
			}
			visitors.end()
			visitors.expectNobodyWaited(t)
		})
	}
}

func TestNobodyWaitsForWhoHasChangedPlacesWithItsSuccessor(t *testing.T) {
	for range 10 {
		first := listenBeside(t, "127.0.0.1:0")
		second := listenBeside(t, first.Addr().String())
		third := listenBeside(t, first.Addr().String())
		answer(second)
		answer(third)
		// The kernel puts the third in the place of the first.
		first.Close()
		visitors := visit(t, second.Addr().String())
		expectVisits(t, "both have visitors", &visitors.visits)
		if err := clienttest.Receive(t, "left", leave(second, nil)); err != nil {
			t.Error(err)
		}
		expectVisits(t, "the third has visitors", &visitors.visits)
		visitors.end()
		visitors.expectNobodyWaited(t)
	}
}

func TestWithMoreThanOneSuccessorNobodyIsLost(t *testing.T) {
	first := listenBeside(t, "127.0.0.1:0")
	answer(first)
	answer(listenBeside(t, first.Addr().String()))
	answer(listenBeside(t, first.Addr().String()))
	visitors := visit(t, first.Addr().String())
	expectVisits(t, "there are visitors", &visitors.visits)
	if err := clienttest.Receive(t, "left", leave(first, nil)); err != nil {
		t.Error(err)
	}
	visitors.end() // each of them reports its failures
}

func TestWhoDiesSteeredLeavesEverythingToTheOther(t *testing.T) {
	for _, test := range []struct {
		name  string
		index uint32
		dies  int
	}{
		{"the predecessor", 1, 0},
		{"the successor", 1, 1},
		{"the successor, steered from", 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := listenBeside(t, "127.0.0.1:0")
			both := []*quiesce.Listener{first, listenBeside(t, first.Addr().String())}
			choose(t, first, test.index)
			both[test.dies].Close()
			visits := answer(both[1-test.dies])
			const all = 50
			for range all {
				if _, err := visitOnce(first.Addr().String()); err != nil {
					t.Fatal(err)
				}
			}
			if n := visits.Load(); n != all {
				t.Errorf("%d visitors, want %d", n, all)
			}
		})
	}
}

func TestWhoComesForgetsWhereTheLastOneSteered(t *testing.T) {
	first := listenBeside(t, "127.0.0.1:0")
	choose(t, first, 0) // everybody to the first
	second := answer(listenBeside(t, first.Addr().String()))
	answer(first)
	for range 100 {
		if _, err := visitOnce(first.Addr().String()); err != nil {
			t.Fatal(err)
		}
	}
	if second.Load() == 0 {
		t.Error("the successor got none of 100 visitors: it is steered around")
	}
}

func choose(t *testing.T, l *quiesce.Listener, index uint32) {
	t.Helper()
	if err := quiesce.Choose(l, index); err != nil {
		t.Fatal(err)
	}
}
