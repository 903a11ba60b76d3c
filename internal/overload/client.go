package overload

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// patience is how long a client waits for an answer before it counts the request
// as lost.
const patience = 15 * time.Second

// requestBody makes the request one that is not sent again where it was lost.
var requestBody = bytes.Repeat([]byte("overload"), 30)

// client sends one request after the other over its one keep-alive connection.
// http.Transport would make another one now and then: it gives up a connection
// whose answer it has for 50 ms before it knows that the request has been written.
type client struct {
	address string
	tls     bool
	think   time.Duration
	book    *book

	conn net.Conn // nil where there is none
	in   *bufio.Reader
}

// startClients returns the function that ends them: each gets the answer it
// waits for.
func startClients(cfg Config, address string, book *book) (stop func()) {
	stopping := make(chan struct{})
	var clients sync.WaitGroup
	for range cfg.Clients {
		c := &client{address: address, tls: cfg.TLS, think: cfg.Think, book: book}
		clients.Go(func() { c.run(stopping) })
	}
	return func() {
		close(stopping)
		clients.Wait()
	}
}

// connect makes a connection where there is none.
func (c *client) connect(ctx context.Context) (err error) {
	if c.conn != nil {
		return nil
	}
	start := time.Now()
	if c.tls {
		// What the certificate says is not what is measured.
		dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
		c.conn, err = dialer.DialContext(ctx, "tcp", c.address)
	} else {
		c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", c.address)
	}
	c.book.dialed(time.Since(start))
	if err != nil {
		c.conn = nil
		return err
	}
	c.in = bufio.NewReader(c.conn)
	return nil
}

func (c *client) disconnect() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *client) run(stopping <-chan struct{}) {
	defer c.disconnect()
	// A random first pause: clients that start together would think together.
	timer := time.NewTimer(time.Duration(rand.Float64() * float64(c.think)))
	defer timer.Stop()
	for {
		select {
		case <-stopping:
			return
		case <-timer.C:
		}
		start := time.Now()
		if replica, err := c.exchange(); err != nil {
			c.book.lost(err)
		} else {
			c.book.answered(replica, time.Since(start))
		}
		timer.Reset(c.think)
	}
}

// exchange returns which replica answered.
func (c *client) exchange() (replica int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.connect(ctx); err != nil {
		return 0, err
	}
	replica, ended, err := c.ask(ctx)
	if ended || err != nil {
		c.disconnect()
	}
	return replica, err
}

// ask sends a request, and reports also whether the answer ends the connection.
func (c *client) ask(ctx context.Context) (replica int, ended bool, err error) {
	deadline, _ := ctx.Deadline()
	c.conn.SetDeadline(deadline)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.address, bytes.NewReader(requestBody))
	if err != nil {
		return 0, false, err
	}
	if err := request.Write(c.conn); err != nil {
		return 0, false, err
	}
	response, err := http.ReadResponse(c.in, request)
	if err != nil {
		return 0, false, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, false, fmt.Errorf("truncated answer: %w", err)
	}
	if response.StatusCode != http.StatusOK || string(answer) != response.Header.Get(replicaHeader) {
		return 0, false, fmt.Errorf("status %d with %d bytes", response.StatusCode, len(answer))
	}
	replica, err = strconv.Atoi(string(answer))
	return replica, response.Close, err
}
