package overload

import (
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

// requestBody makes the request one that a client must not repeat by itself.
var requestBody = bytes.Repeat([]byte("overload"), 30)

// client sends one request after the other over its one keep-alive connection.
type client struct {
	transport *http.Transport
	url       string
	think     time.Duration
	book      *book
}

// startClients returns the function that ends them: each gets the answer it
// waits for.
func startClients(cfg Config, address string, book *book) (stop func()) {
	url := "http://" + address
	if cfg.TLS {
		url = "https://" + address
	}
	stopping := make(chan struct{})
	var clients sync.WaitGroup
	for range cfg.Clients {
		c := &client{url: url, think: cfg.Think, book: book}
		c.transport = &http.Transport{
			DialContext:        c.dial,
			DisableCompression: true,
		}
		if cfg.TLS {
			c.transport.DialTLSContext = c.dialTLS
		}
		clients.Go(func() { c.run(stopping) })
	}
	return func() {
		close(stopping)
		clients.Wait()
	}
}

func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	start := time.Now()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	c.book.dialed(time.Since(start))
	return conn, err
}

func (c *client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	start := time.Now()
	// What the certificate says is not what is measured.
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
	conn, err := dialer.DialContext(ctx, network, address)
	c.book.dialed(time.Since(start))
	return conn, err
}

func (c *client) run(stopping <-chan struct{}) {
	defer c.transport.CloseIdleConnections()
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
	// The reader is hidden, or http.NewRequest would set GetBody and with it
	// allow the transport to send the request a second time.
	body := struct{ io.Reader }{bytes.NewReader(requestBody)}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, body)
	if err != nil {
		return 0, err
	}
	request.ContentLength = int64(len(requestBody))
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, fmt.Errorf("truncated answer: %w", err)
	}
	if response.StatusCode != http.StatusOK || string(answer) != response.Header.Get(replicaHeader) {
		return 0, fmt.Errorf("status %d with %d bytes", response.StatusCode, len(answer))
	}
	return strconv.Atoi(string(answer))
}
