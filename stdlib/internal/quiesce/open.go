package quiesce

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// Listen listens on a TCP address, without Multipath TCP, which Empty could not
// quiesce.
func Listen(address string) (*Listener, error) {
	return listen(&net.ListenConfig{}, address)
}

// ListenBeside listens on a TCP address on which other processes of the same user
// may listen as well, if they all do it with SO_REUSEPORT.
func ListenBeside(address string) (*Listener, error) {
	l, err := listen(&net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = shareAddress(fd) }), err)
	}}, address)
	if err != nil {
		return nil, explain(err)
	}
	l.beside = true
	forgetSteering(l.Socket)
	return l, nil
}

func listen(config *net.ListenConfig, address string) (*Listener, error) {
	config.SetMultipathTCP(false)
	socket, err := config.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return New(socket.(*net.TCPListener)), nil
}
