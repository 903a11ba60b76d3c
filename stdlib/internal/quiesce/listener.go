package quiesce

import (
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Socket is what a Listener needs of the socket below it. *net.TCPListener and
// *net.UnixListener have it.
type Socket interface {
	net.Listener
	syscall.Conn
}

// Listener is a listening socket that is this process's alone.
type Listener struct {
	Socket
	beside  bool // another process may listen on the same address
	leaving atomic.Bool
	latest  atomic.Pointer[time.Time] // when a connection was accepted since
	visitor visitor
}

// New returns a Listener of a socket that no other process has a descriptor of.
func New(socket Socket) *Listener { return &Listener{Socket: socket} }

// Accept waits for the next connection. Before Empty it adds nothing to what the
// socket does.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Socket.Accept()
		if err != nil || !l.leaving.Load() {
			return c, err
		}
		if l.visitor.is(c) {
			c.Close()
			continue
		}
		l.acceptedNow()
		disinherit(c)
		return c, nil
	}
}

// Empty keeps new connections off the socket, and returns when it can be closed:
// when nobody waits in its queue or is on the way there, or when giveUp is closed.
// It waits for handshakes for a second, and for who is not accepted for two. Accept
// has to be called all the while.
// Empty is called once, and the socket is closed right after it.
//
// The error says why somebody may be lost by that all the same.
func (l *Listener) Empty(giveUp <-chan struct{}) error {
	l.acceptedNow()
	l.leaving.Store(true)
	return l.empty(giveUp)
}

// acceptedNow keeps the clock's monotonic reading, which a jump of the wall clock
// does not change.
func (l *Listener) acceptedNow() {
	now := time.Now()
	l.latest.Store(&now)
}

// longest is how long it is waited for who is about to connect: a handshake that has
// not ended by then may never end, and a socket that nobody can be kept off may
// always have somebody.
const longest = time.Second

// acceptUntilQuiet waits until nobody was accepted for d.
func (l *Listener) acceptUntilQuiet(giveUp <-chan struct{}, d time.Duration) {
	end := time.Now().Add(longest)
	for left := d; left > 0 && time.Now().Before(end) && sleep(giveUp, left); {
		left = d - time.Since(*l.latest.Load())
	}
}

// sleep reports whether d was over before giveUp was closed.
func sleep(giveUp <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-giveUp:
		return false
	}
}
