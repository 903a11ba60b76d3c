package main

import (
	"net"
	"sync"
)

// socket is one listening socket that the generations share, as under a supervisor
// that keeps it open, so that nobody is refused during a restart.
type socket struct {
	listener net.Listener
	callers  chan net.Conn
	closed   chan struct{}
	accepts  sync.WaitGroup
}

func listen() (*socket, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &socket{listener: listener, callers: make(chan net.Conn), closed: make(chan struct{})}
	s.accepts.Go(s.accept)
	return s, nil
}

func (s *socket) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		select {
		case s.callers <- conn:
		case <-s.closed:
			conn.Close()
			return
		}
	}
}

func (s *socket) address() string { return s.listener.Addr().String() }

func (s *socket) close() {
	close(s.closed)
	s.listener.Close()
	s.accepts.Wait()
}

// share is the listener of one generation. Its Close leaves the socket alone.
type share struct {
	*socket
	left chan struct{}
	once sync.Once
}

func (s *socket) share() *share { return &share{socket: s, left: make(chan struct{})} }

func (s *share) Accept() (net.Conn, error) {
	select {
	case conn := <-s.callers:
		return conn, nil
	case <-s.left:
	case <-s.closed:
	}
	return nil, net.ErrClosed
}

func (s *share) Close() error {
	s.once.Do(func() { close(s.left) })
	return nil
}

func (s *share) Addr() net.Addr { return s.listener.Addr() }
