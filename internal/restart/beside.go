package restart

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
)

// ListeningBeside makes every generation of a method listen for itself, beside the
// last one, and closes the socket as the method does by itself.
func ListeningBeside(method Method) Method {
	serve := method.Serve
	return Method{
		Name:      method.Name,
		Listening: Beside,
		Serve: func(ctx context.Context, server *http.Server, _ net.Listener) error {
			listener, err := ListenBeside(server.Addr)
			if err != nil {
				return err
			}
			return serve(ctx, server, listener)
		},
	}
}

// ListeningAfter makes every generation of a method listen for itself, when the last
// one has ended.
func ListeningAfter(method Method) Method {
	serve := method.Serve
	return Method{
		Name:      method.Name,
		Listening: After,
		Serve: func(ctx context.Context, server *http.Server, _ net.Listener) error {
			listener, err := net.Listen("tcp", server.Addr)
			if err != nil {
				return err
			}
			return serve(ctx, server, listener)
		},
	}
}

// ListenBeside listens on an address that others of the same user share, if they
// listened like this, too.
func ListenBeside(address string) (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = shareAddress(fd) }), err)
	}}
	return config.Listen(context.Background(), "tcp", address)
}
