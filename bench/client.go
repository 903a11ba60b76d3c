package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// client sends requests over one connection. Losing it is an error.
type client interface {
	// run sends requests until then, at least one, and returns how many were
	// answered.
	run(until time.Time) (int, error)
	close()
}

func (p protocol) newClient(s *server) (client, error) {
	if p == http2 {
		return newMultiplexed(s)
	}
	return newSequential(s, p.dial)
}

func (p protocol) dial(address string) (net.Conn, error) {
	if p != https {
		return net.Dial("tcp", address)
	}
	// The server may be in a process of its own, which makes its certificate.
	return tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is ours
}

// sequential is an HTTP/1.1 client that costs next to nothing: all answers have the
// length of the first one.
type sequential struct {
	net.Conn
	request, answer []byte
}

func newSequential(s *server, dial func(address string) (net.Conn, error)) (*sequential, error) {
	conn, err := dial(s.address)
	if err != nil {
		return nil, err
	}
	c := &sequential{Conn: conn, request: []byte("GET " + requestPath + " HTTP/1.1\r\nHost: " + s.address + "\r\n\r\n")}
	if err := c.first(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// first learns the length of the answers.
func (c *sequential) first() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	var read bytes.Buffer
	response, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c.Conn, &read)), nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || string(body) != answer || response.Close {
		return fmt.Errorf("unexpected first answer %q", read.String())
	}
	c.answer = make([]byte, read.Len())
	return nil
}

func (c *sequential) run(until time.Time) (requests int, err error) {
	for requests == 0 || time.Now().Before(until) {
		if _, err := c.Write(c.request); err != nil {
			return requests, err
		}
		if _, err := io.ReadFull(c, c.answer); err != nil {
			return requests, err
		}
		if !bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(c.answer, []byte(answer)) {
			return requests, fmt.Errorf("unexpected answer %q", c.answer)
		}
		requests++
	}
	return requests, nil
}

func (c *sequential) close() { c.Conn.Close() }

// streams is how many requests at a time are under way over HTTP/2.
const streams = 16

// multiplexed is net/http's HTTP/2 client.
type multiplexed struct {
	server    *server
	transport *http.Transport
	dials     atomic.Int32
}

// newMultiplexed makes the connection, because requests that find none would each
// make one. A transport knows its new connection a moment after the first answer, so
// the count begins with a request that made none; a server that ends connections has
// no such request, which run then reports.
func newMultiplexed(s *server) (*multiplexed, error) {
	m := &multiplexed{server: s, transport: http2.newTransport()}
	var dialer net.Dialer
	m.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		m.dials.Add(1)
		return dialer.DialContext(ctx, network, address)
	}
	for range 10 {
		before := m.dials.Load()
		if err := s.get(m.transport, answer); err != nil {
			return m, err
		}
		if before > 0 && m.dials.Load() == before {
			m.dials.Store(1)
			break
		}
	}
	return m, nil
}

func (m *multiplexed) run(until time.Time) (int, error) {
	var (
		requests atomic.Int64
		failed   [streams]error
		done     sync.WaitGroup
	)
	for stream := range streams {
		done.Go(func() {
			for sent := 0; failed[stream] == nil && (sent == 0 || time.Now().Before(until)); sent++ {
				failed[stream] = m.server.get(m.transport, answer)
				requests.Add(1)
			}
		})
	}
	done.Wait()
	err := errors.Join(failed[:]...)
	// On a busy machine the transport now and then makes another one for requests
	// that begin at once.
	if dials := m.dials.Load(); err == nil && dials > streams {
		err = fmt.Errorf("the traffic took %d connections, more than one for each of %d streams", dials, streams)
	}
	return int(requests.Load()), err
}

func (m *multiplexed) close() { m.transport.CloseIdleConnections() }
