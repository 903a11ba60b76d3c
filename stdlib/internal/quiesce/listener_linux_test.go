package quiesce_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib/internal/quiesce"
)

// minTTL returns the options that keep packets off a socket; IPv6's is 0 on a
// socket of IPv4.
func minTTL(t *testing.T, socket syscall.Conn) (ipv4, ipv6 int) {
	t.Helper()
	const ipv6MinHopCount = 73
	raw, err := socket.SyscallConn()
	if err == nil {
		controlErr := raw.Control(func(fd uintptr) {
			if ipv4, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MINTTL); err != nil {
				return
			}
			if address, _ := syscall.Getsockname(int(fd)); address != nil {
				if _, ok := address.(*syscall.SockaddrInet6); ok {
					ipv6, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_IPV6, ipv6MinHopCount)
				}
			}
		})
		err = errors.Join(err, controlErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ipv4, ipv6
}

func expectQuiesced(t *testing.T, l *quiesce.Listener) {
	t.Helper()
	clienttest.Eventually(t, "quiesced", func() bool {
		ipv4, _ := minTTL(t, l)
		return ipv4 == 255
	})
}

// tries is every way to connect to the listeners of the tests.
var tries = []struct{ name, listen, dial string }{
	{"IPv4", "127.0.0.1:0", "127.0.0.1"},
	{"IPv6", "[::1]:0", "::1"},
	{"IPv4 to both", "[::]:0", "127.0.0.1"},
	{"IPv6 to both", "[::]:0", "::1"},
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestAQuiescedSocketTakesNoNewConnection(t *testing.T) {
	for _, try := range tries {
		t.Run(try.name, func(t *testing.T) {
			l := listen(t, try.listen)
			address := net.JoinHostPort(try.dial, portOf(l))
			dial(t, address) // keeps Empty until it is accepted
			left := leave(l, nil)
			expectQuiesced(t, l)
			late, err := net.DialTimeout("tcp", address, 100*time.Millisecond)
			if err == nil {
				late.Close()
				t.Error("somebody connected to a quiesced socket")
			}
			servers := accept(t, l)
			if err := clienttest.Receive(t, "left", left); err != nil {
				t.Error(err)
			}
			clienttest.Receive(t, "accepted", servers)
			if refused, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("connecting to a closed socket: %v, want %v", err, syscall.ECONNREFUSED)
				if err == nil {
					refused.Close()
				}
			}
		})
	}
}

func TestAcceptedSocketsDoNotKeepTheOption(t *testing.T) {
	for _, try := range tries {
		t.Run(try.name, func(t *testing.T) {
			l := listenDeferred(t, try.listen)
			address := net.JoinHostPort(try.dial, portOf(l))
			early, late := dial(t, address), dial(t, address)
			expectExchangeBegun(t, early)
			left := leave(l, nil)
			expectQuiesced(t, l)
			// Its handshake ends on a quiesced socket, so that it inherits the option.
			expectExchangeBegun(t, late)
			servers := accept(t, l)
			if err := clienttest.Receive(t, "left", left); err != nil {
				t.Error(err)
			}
			for range 2 {
				server := clienttest.Receive(t, "accepted", servers)
				if ipv4, ipv6 := minTTL(t, server.(*net.TCPConn)); ipv4 != 0 || ipv6 != 0 {
					t.Errorf("an accepted socket has IP_MINTTL %d and IPV6_MINHOPCOUNT %d, want 0", ipv4, ipv6)
				}
			}
		})
	}
}

// listenDeferred returns a listener to which a handshake is under way until the
// client has sent something, although it is over for the client (TCP_DEFER_ACCEPT).
// That is what a handshake's last ACK looks like that is on the wire.
func listenDeferred(t *testing.T, address string) *quiesce.Listener {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_DEFER_ACCEPT, 60)
		}), err)
	}}
	config.SetMultipathTCP(false)
	socket, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("cannot listen on %s here: %v", address, err)
	}
	t.Cleanup(func() { socket.Close() })
	return quiesce.New(socket.(*net.TCPListener))
}

func expectExchangeBegun(t *testing.T, client net.Conn) {
	t.Helper()
	if _, err := client.Write([]byte{'x'}); err != nil {
		t.Fatal(err)
	}
}

func TestWhoIsInTheMiddleOfAHandshakeIsWaitedForAndHeard(t *testing.T) {
	for _, try := range tries {
		t.Run(try.name, func(t *testing.T) {
			l := listenDeferred(t, try.listen)
			client := dial(t, net.JoinHostPort(try.dial, portOf(l)))
			servers := accept(t, l)
			left := leave(l, nil)
			expectQuiesced(t, l)
			select {
			case err := <-left:
				t.Fatalf("Empty returned before the handshake was over: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			expectExchangeBegun(t, client)
			server := clienttest.Receive(t, "accepted", servers)
			if err := clienttest.Receive(t, "left", left); err != nil {
				t.Error(err)
			}
			server.SetDeadline(time.Now().Add(clienttest.Patience))
			if _, err := server.Read(make([]byte, 1)); err != nil {
				t.Errorf("reading what came with the handshake's end: %v", err)
			}
			expectExchange(t, client, server)
			expectExchange(t, server, client)
		})
	}
}

func TestAHandshakeThatDoesNotEndIsGivenUpAndSaid(t *testing.T) {
	l := listenDeferred(t, "127.0.0.1:0")
	dial(t, l.Addr().String())
	accept(t, l)
	err := clienttest.Receive(t, "left", leave(l, nil))
	if err == nil || !strings.Contains(err.Error(), "have not finished: 1") {
		t.Errorf("Empty returned %v, want that one client had not finished", err)
	}
}

func TestWhoIsNotAcceptedIsGivenUpAndSaid(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	dial(t, l.Addr().String())
	err := clienttest.Receive(t, "left", leave(l, nil))
	if err == nil || !strings.Contains(err.Error(), "wait to be accepted: 1") {
		t.Errorf("Empty returned %v, want that one client waits", err)
	}
}

func TestNothingIsWaitedForWhereNobodyConnects(t *testing.T) {
	const most = 60 * time.Millisecond
	for range 50 {
		l := listen(t, "127.0.0.1:0")
		accept(t, l)
		began := time.Now()
		if err := clienttest.Receive(t, "left", leave(l, nil)); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) < most {
			return // a busy machine may take longer, but not every time
		}
	}
	t.Errorf("Empty took %v each time although nobody was there", most)
}

func TestASocketOfMultipathTCPAcceptsWhoWaitsAndSaysSo(t *testing.T) {
	config := net.ListenConfig{}
	config.SetMultipathTCP(true)
	socket, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := quiesce.New(socket.(*net.TCPListener))
	if raw, err := socket.(*net.TCPListener).SyscallConn(); err == nil {
		var protocol int
		const soProtocol, ipprotoMPTCP = 38, 262
		raw.Control(func(fd uintptr) { protocol, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, soProtocol) })
		if protocol != ipprotoMPTCP {
			t.Skip("no Multipath TCP here")
		}
	}
	client := dial(t, socket.Addr().String())
	left := leave(l, nil)
	servers := accept(t, l)
	if err := clienttest.Receive(t, "left", left); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("Empty returned %v, want %v", err, syscall.EOPNOTSUPP)
	}
	expectExchange(t, client, clienttest.Receive(t, "accepted", servers))
}

func TestWithoutTheKernelsTablesARoundTripIsWaitedFor(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	servers := accept(t, l)
	client := dial(t, l.Addr().String())
	server := clienttest.Receive(t, "accepted", servers)

	allowDescriptors := forbidDescriptors(t)
	left := leave(l, nil)
	expectQuiesced(t, l) // the tables were asked for before
	allowDescriptors()
	if err := clienttest.Receive(t, "left", left); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("Empty returned %v, want %v", err, syscall.EMFILE)
	}
	expectExchange(t, client, server)
}

// forbidDescriptors lets the process open no file until the function that it
// returns is called.
func forbidDescriptors(t *testing.T) (allow func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	allow = func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(allow)
	none := before
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	return allow
}

func TestWhoCannotShareAnAddressIsToldWhy(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	for _, address := range []string{l.Addr().String(), "0.0.0.0:" + portOf(l), ":" + portOf(l)} {
		beside, err := quiesce.ListenBeside(address)
		if err == nil {
			beside.Close()
			t.Errorf("%s: a socket listens beside one that does not share its address", address)
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "bound without SO_REUSEPORT") {
			t.Errorf("%s: %v does not say that the other socket was bound without SO_REUSEPORT", address, err)
		}
	}
}

func TestAnAddressOfAnotherUserCannotBeSharedAndTheErrorNamesHim(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can listen as somebody else")
	}
	const user = 65534
	address := listenAs(t, user)
	beside, err := quiesce.ListenBeside(address)
	if err == nil {
		beside.Close()
		t.Fatal("sockets of two users listen on one address")
	}
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), fmt.Sprintf("user %d", user)) {
		t.Errorf("%v does not name user %d", err, user)
	}
}

// listenAs listens as another user, which the kernel takes from the thread that
// makes the socket.
func listenAs(t *testing.T, user uintptr) (address string) {
	t.Helper()
	listening := make(chan string, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		syscall.RawSyscall(syscall.SYS_SETFSUID, user, 0, 0)
		l, err := quiesce.ListenBeside("127.0.0.1:0")
		if err != nil {
			t.Error(err)
			listening <- ""
			return
		}
		t.Cleanup(func() { l.Close() })
		listening <- l.Addr().String()
	}()
	return clienttest.Receive(t, "listening", listening)
}
