package quiesce_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib/internal/quiesce"
)

func listen(t *testing.T, address string) *quiesce.Listener {
	t.Helper()
	l, err := quiesce.Listen(address)
	if err != nil {
		t.Skipf("cannot listen on %s here: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, clienttest.Patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(clienttest.Patience))
	return c
}

// accepted are the connections that a listener gave, in order. It is closed when
// the listener gives no more.
type accepted chan net.Conn

// accept accepts until the listener is closed.
func accept(t *testing.T, l net.Listener) accepted {
	connections := make(accepted, 1000)
	go func() {
		defer close(connections)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			connections <- c
		}
	}()
	return connections
}

// leave begins to empty a listener and closes it then. The channel has the error of
// Empty.
func leave(l *quiesce.Listener, giveUp <-chan struct{}) <-chan error {
	left := make(chan error, 1)
	go func() {
		err := l.Empty(giveUp)
		l.Close()
		left <- err
	}()
	return left
}

// expectExchange sends a byte over the one and reads it from the other.
func expectExchange(t *testing.T, from, to net.Conn) {
	t.Helper()
	if _, err := from.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
	to.SetDeadline(time.Now().Add(clienttest.Patience))
	if _, err := to.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestWhoWaitsInTheQueueIsAcceptedAndHeard(t *testing.T) {
	for _, listener := range []struct{ name, address string }{
		{"IPv4", "127.0.0.1:0"},
		{"IPv6", "[::1]:0"},
		{"both", "[::]:0"},
	} {
		t.Run(listener.name, func(t *testing.T) {
			l := listen(t, listener.address)
			var clients []net.Conn
			for range 20 {
				clients = append(clients, dial(t, l.Addr().String()))
			}
			left := leave(l, nil)
			servers := accept(t, l)
			clienttest.Receive(t, "left", left)
			for range clients {
				server := clienttest.Receive(t, "accepted", servers)
				for _, client := range clients {
					if client.LocalAddr().String() == server.RemoteAddr().String() {
						expectExchange(t, client, server)
						expectExchange(t, server, client)
					}
				}
			}
			if c, more := <-servers; more {
				t.Errorf("the listener gave one more connection, from %v", c.RemoteAddr())
			}
		})
	}
}

func TestAUnixSocketAcceptsWhoWaits(t *testing.T) {
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Name: t.TempDir() + "/socket"})
	if err != nil {
		t.Skipf("no Unix sockets here: %v", err)
	}
	l := quiesce.New(socket)
	client, err := net.Dial("unix", socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	left := leave(l, nil)
	servers := accept(t, l)
	if clienttest.Receive(t, "left", left) == nil {
		t.Error("Empty did not say that it could keep nobody off")
	}
	expectExchange(t, client, clienttest.Receive(t, "accepted", servers))
}

// crowded is a socket without options, on which somebody comes all the time.
type crowded struct{ net.Listener }

func (crowded) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

func (crowded) Accept() (net.Conn, error) {
	time.Sleep(time.Millisecond)
	return nil, nil
}

func TestASocketThatIsNeverQuietIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := quiesce.New(crowded{})
		left := make(chan error, 1)
		began := time.Now()
		go func() { left <- l.Empty(nil) }()
		for len(left) == 0 && time.Since(began) < time.Minute {
			l.Accept()
		}
		if len(left) == 0 || <-left == nil {
			t.Fatal("Empty has not returned, or did not say that somebody may be lost")
		}
		if waited := time.Since(began); waited > 2*time.Second {
			t.Errorf("it took %v", waited)
		}
	})
}

func TestEmptyingCanBeGivenUp(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	dial(t, l.Addr().String()) // and nobody accepts
	giveUp := make(chan struct{})
	left := leave(l, giveUp)
	close(giveUp)
	if clienttest.Receive(t, "left", left) == nil {
		t.Error("Empty did not say that somebody was left in the queue")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after the end: %v, want %v", err, net.ErrClosed)
	}
}

func TestEmptyingLeavesNoGoroutine(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	accept(t, l)
	clienttest.Receive(t, "left", leave(l, nil))
	clienttest.ExpectNoGoroutine(t, "quiesce.(*Listener)")
}

func TestAnAddressCannotBeSharedWithoutTheOption(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	beside, err := quiesce.ListenBeside(l.Addr().String())
	if err == nil {
		beside.Close()
		t.Fatal("two sockets listen on an address that one of them does not share")
	}
	t.Log(err)
}
