package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/politeclose/politeclose/internal/certificate"
)

type protocol string

const (
	http1 protocol = "HTTP/1.1"
	https protocol = "HTTP/1.1 over TLS"
	http2 protocol = "HTTP/2" // cleartext, so that no TLS hides a difference
)

func (p protocol) only() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(p != http2)
	protocols.SetUnencryptedHTTP2(p == http2)
	return protocols
}

// server is a real server on a loopback socket.
type server struct {
	http.Server
	address    string
	ended      chan error
	complaints complaints
	stop       func() error
}

// serve starts a server that s knows of. handler is that of s, or calls it.
func serve(s stack, p protocol, handler http.Handler) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	started := &server{address: listener.Addr().String(), ended: make(chan error, 1), stop: s.stop}
	started.Handler = handler
	started.Protocols = p.only()
	started.ErrorLog = log.New(&started.complaints, "", 0)
	if s.prepare != nil {
		if listener, err = s.prepare(&started.Server, listener); err != nil {
			return nil, err
		}
	}
	if p == https {
		own, err := certificate.SelfSigned()
		if err != nil {
			return nil, err
		}
		started.TLSConfig = &tls.Config{Certificates: []tls.Certificate{own}}
		go func() { started.ended <- started.ServeTLS(listener, "", "") }()
		return started, nil
	}
	go func() { started.ended <- started.Serve(listener) }()
	return started, nil
}

func (s *server) close() error {
	err := s.Close()
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if s.stop != nil {
		err = errors.Join(err, s.stop())
	}
	return errors.Join(err, s.complaints.first())
}

// complaints is the log of a server. A server that logs does something else than
// what is to be measured.
type complaints struct {
	mu   sync.Mutex
	line string
}

func (c *complaints) Write(line []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == "" {
		c.line = string(line)
	}
	return len(line), nil
}

func (c *complaints) first() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line == "" {
		return nil
	}
	return fmt.Errorf("the server logged %q", c.line)
}

// newTransport is a client of one protocol.
func (p protocol) newTransport() *http.Transport {
	return &http.Transport{Protocols: p.only(), DisableCompression: true}
}

// get sends one request and expects the whole answer to be want.
func (s *server) get(transport *http.Transport, want string) error {
	request, err := http.NewRequest(http.MethodGet, "http://"+s.address+requestPath, nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || string(body) != want {
		return fmt.Errorf("the answer is %s and %q instead of 200 and %q", response.Status, body, want)
	}
	return nil
}
