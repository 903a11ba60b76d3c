package restart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// patience is how much longer than the slowest handler a client waits for an
// answer before it counts the request as lost.
const patience = 10 * time.Second

// requestBody makes the request one that a client must not repeat by itself.
var requestBody = bytes.Repeat([]byte("politeclose "), 20)

// client sends one request after the other. Clients of the same number share a
// transport, and with it one keep-alive connection; over HTTP/1.1 there is one.
type client struct {
	number    int
	transport *http.Transport
	http2     bool
	url       string
	think     time.Duration
	patience  time.Duration
	late      time.Duration
	book      *book
}

func (r *run) patience() time.Duration {
	return patience + max(r.Handler, r.SlowHandler)
}

// startClients returns the function that ends them: each gets the answer it
// waits for, then their connections are closed.
func (r *run) startClients(url string) (stop func()) {
	stopping := make(chan struct{})
	var clients sync.WaitGroup
	var transports []*http.Transport
	for number := range r.Clients {
		transport := &http.Transport{
			Protocols:          r.clientProtocols(),
			DisableCompression: true,
			DisableKeepAlives:  r.ConnectAnew,
			TLSClientConfig:    r.clientTLS.Clone(),
		}
		transports = append(transports, transport)
		for range r.streams() {
			c := &client{
				number:    number,
				transport: transport,
				http2:     r.HTTP2,
				url:       url,
				think:     r.Think,
				patience:  r.patience(),
				late:      DelayedFrom + max(r.Handler, r.SlowHandler),
				book:      r.book,
			}
			clients.Go(func() { c.run(stopping) })
		}
	}
	return func() {
		close(stopping)
		clients.Wait()
		for _, transport := range transports {
			transport.CloseIdleConnections()
		}
	}
}

func (c *client) run(stopping <-chan struct{}) {
	// A random first pause: clients that start together would think together.
	timer := time.NewTimer(time.Duration(rand.Float64() * float64(c.think)))
	defer timer.Stop()
	for {
		select {
		case <-stopping:
			return
		case <-timer.C:
		}
		id, began := c.book.sent(c.number), time.Now()
		switch sent, err := c.exchange(id); {
		case err == nil:
			took := time.Since(began)
			c.book.answered(id, took, took >= c.late)
		case isRefused(err):
			c.book.refused(id, cause(err))
		case sent:
			c.book.lost(id, cause(err))
		default:
			c.book.neverSent(id, cause(err))
		}
		timer.Reset(c.think)
	}
}

// exchange succeeds only with the whole answer to exactly this request. A failed
// request was sent if any of it may have gone out.
func (c *client) exchange(id string) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	body := &outgoing{reader: bytes.NewReader(requestBody)}
	if c.http2 {
		ctx = body.trace(ctx)
	} else {
		// A client that has its connection to itself sends at once.
		body.begun.Store(true)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, body)
	if err != nil {
		return false, err
	}
	request.ContentLength = int64(len(requestBody))
	request.Header.Set(idHeader, id)

	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return body.begun.Load(), err
	}
	defer response.Body.Close()
	return true, c.check(response, id)
}

// isRefused reports whether the client could not connect.
func isRefused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

func (c *client) check(response *http.Response, id string) error {
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return fmt.Errorf("truncated answer: %w", err)
	case (response.ProtoMajor == 2) != c.http2:
		return fmt.Errorf("answer over %s", response.Proto)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", response.StatusCode)
	case string(answer) != id:
		return errors.New("answer to another request")
	}
	return nil
}

// cause is the error without what differs from one request to the next: the
// addresses, and the numbers of HTTP/2 streams.
func cause(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return streamNumber.ReplaceAllString(err.Error(), "${1}N")
		}
		err = inner
	}
}
