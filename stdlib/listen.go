package stdlib

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/politeclose/politeclose/stdlib/internal/quiesce"
)

// ReusePort makes [Serve] listen beside the process that this one replaces
// (SO_REUSEPORT), so that one restarts the other without a supervisor and without a
// descriptor that is handed over: start the next one, and end the last one when the
// next one listens, which [OnListening] says. On Linux nobody is refused, reset or
// kept waiting by that: the one that leaves gives new connections to the other one,
// and accepts who has begun to connect to it. That takes a few milliseconds more
// than the slowest handshake.
//
// All of them have to use it, and to be of one user; otherwise Serve returns an error
// that says which of the two is not so. Beside more than one other process, and
// where the kernel does not tell how many there are, some of those who connect while
// one leaves have to send their first packet again, a second later. Elsewhere than
// on Linux the newest process gets what is new, as far as the system does it that
// way, and Serve returns an error where sockets cannot share an address at all.
//
// It is for Serve's own listener: together with [On] it is an error.
func ReusePort() ServeOption {
	return func(c *serveConfig) error {
		c.reusePort = true
		return nil
	}
}

// Unshared says that nobody but this Serve has the socket of [On]'s listener: no
// other process has inherited it or holds it open, as systemd does with a socket
// unit's, and this process has no duplicate, as of [net.TCPListener.File]. Serve can
// then end it like one that it has opened itself: new connections are kept off it
// while it is emptied, which would keep them off everybody else as well. Without the
// option it is closed at once, and whoever was about to connect is reset unless
// somebody else has the socket.
//
// The listener has to be a *net.TCPListener or a *net.UnixListener. On Linux one of
// TCP has to be without Multipath TCP ([net.ListenConfig.SetMultipathTCP]), which is
// Go's default; otherwise it is emptied as well as it can be, and the log says so.
func Unshared() ServeOption {
	return func(c *serveConfig) error {
		c.unshared = true
		return nil
	}
}

// checkListener finds out whether the options are about the same listener.
func (c *serveConfig) checkListener() error {
	_, isSocket := c.listener.(quiesce.Socket)
	switch {
	case c.reusePort && c.listener != nil:
		return errors.New("ReusePort: it is not allowed with On; set SO_REUSEPORT before On's listener is bound, or leave On out and set the server's Addr")
	case c.unshared && c.listener == nil:
		return errors.New("Unshared: it is only allowed with On; nobody shares a listener that Serve opens itself")
	case c.unshared && !isSocket:
		return fmt.Errorf("Unshared: a %T is not allowed; give On a *net.TCPListener or a *net.UnixListener", c.listener)
	}
	return nil
}

// open returns what Serve listens with.
func (c *serveConfig) open(srv *http.Server) (net.Listener, error) {
	if c.unshared {
		return quiesce.New(c.listener.(quiesce.Socket)), nil
	}
	if c.listener != nil {
		return c.listener, nil
	}
	addr := srv.Addr
	if addr == "" {
		addr = ":http"
		if c.serveTLS != nil {
			addr = ":https"
		}
	}
	if !c.reusePort {
		return quiesce.Listen(addr)
	}
	l, err := quiesce.ListenBeside(addr)
	if err != nil {
		return nil, fmt.Errorf("ReusePort: %w", err)
	}
	return l, nil
}
