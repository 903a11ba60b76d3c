package restart

import (
	"errors"
	"fmt"
	"net"
)

// listeners are many descriptors of one listening socket, one per generation:
// closing one leaves the socket, and what waits in its accept queue, alone. The zero
// value is for generations that listen for themselves.
type listeners struct {
	socket      *net.TCPListener
	generations []*net.TCPListener
	given       int
}

// listen opens a socket on a free port. All the duplicates are made
// here, before anybody accepts: net.FileListener switches the socket, and with
// it every duplicate, to blocking mode for a moment, and an Accept in that
// moment would hold its thread, and its listener's Close, until somebody connects.
func listen(host string, generations int) (*listeners, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, fmt.Errorf("restart: %w", err)
	}
	all := &listeners{socket: listener.(*net.TCPListener)}
	for range generations {
		duplicate, err := duplicate(all.socket)
		if err != nil {
			return nil, fmt.Errorf("restart: cannot share %v: %w", listener.Addr(), errors.Join(err, all.close()))
		}
		all.generations = append(all.generations, duplicate)
	}
	return all, nil
}

func duplicate(socket *net.TCPListener) (*net.TCPListener, error) {
	file, err := socket.File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	return listener.(*net.TCPListener), nil
}

// next returns the next generation's listener, or nil.
func (l *listeners) next() net.Listener {
	if l.socket == nil {
		return nil
	}
	l.given++
	return l.generations[l.given-1]
}

// close closes the socket and the generations that were never served.
func (l *listeners) close() error {
	if l.socket == nil {
		return nil
	}
	err := l.socket.Close()
	for _, listener := range l.generations {
		if closeErr := listener.Close(); !errors.Is(closeErr, net.ErrClosed) {
			err = errors.Join(err, closeErr)
		}
	}
	return err
}
