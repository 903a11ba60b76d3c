package restart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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

// client sends one request after the other. Its transport is its own, so it is
// one keep-alive connection; over HTTP/2 several clients could share one.
type client struct {
	number    int
	transport *http.Transport
	url       string
	think     time.Duration
	patience  time.Duration
	book      *book
}

func (r *run) patience() time.Duration {
	return patience + max(r.Handler, r.SlowHandler)
}

// startClients returns the function that ends them: each gets the answer it
// waits for, then its connection is closed.
func (r *run) startClients(url string) (stop func()) {
	stopping := make(chan struct{})
	var clients sync.WaitGroup
	for number := range r.Clients {
		c := &client{
			number: number,
			transport: &http.Transport{
				Protocols:          protocols(),
				DisableCompression: true,
				TLSClientConfig:    r.clientTLS.Clone(),
			},
			url:      url,
			think:    r.Think,
			patience: r.patience(),
			book:     r.book,
		}
		clients.Go(func() { c.run(stopping) })
	}
	return func() {
		close(stopping)
		clients.Wait()
	}
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
		id := c.book.sent(c.number)
		if err := c.exchange(id); err != nil {
			c.book.lost(id, cause(err))
		} else {
			c.book.answered(id)
		}
		timer.Reset(c.think)
	}
}

// exchange succeeds only with the whole answer to exactly this request.
func (c *client) exchange(id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	// The reader is hidden, or http.NewRequest would set GetBody and with it
	// allow the transport to send the request a second time.
	body := struct{ io.Reader }{bytes.NewReader(requestBody)}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, body)
	if err != nil {
		return err
	}
	request.ContentLength = int64(len(requestBody))
	request.Header.Set(idHeader, id)

	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return fmt.Errorf("truncated answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("status %d", response.StatusCode)
	case string(answer) != id:
		return errors.New("answer to another request")
	}
	return nil
}

// cause is the error without what differs from one request to the next, above
// all the addresses.
func cause(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
