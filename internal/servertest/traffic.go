package servertest

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// Traffic is clients that send one POST after another, each over the connection of
// the last, until nobody listens any more.
type Traffic struct {
	Answered atomic.Int64
	clients  sync.WaitGroup
	errors   chan error
	ready    sync.WaitGroup
}

// NewTraffic starts so many clients. Over HTTP/2 eight of them share a connection,
// which the first of them makes: all at once they would make eight, and some of those
// might still be waiting to be accepted when the listener is closed. It returns when
// each client has an answer; what fails before that is sent again, for a reason of the
// machine's: net/http closes an HTTP/2 connection whose client has not come to its
// SETTINGS within 2 s.
func NewTraffic(url string, clients int, http2 bool) *Traffic {
	t := &Traffic{errors: make(chan error, clients)}
	t.ready.Add(clients)
	together := 1
	if http2 {
		together = 8
	}
	for begun := 0; begun < clients; begun += together {
		client := &http.Client{Transport: newTransport(http2)}
		connected := make(chan struct{})
		t.clients.Go(func() { t.ask(client, url, http2, func() { close(connected) }) })
		for range min(together, clients-begun) - 1 {
			t.clients.Go(func() {
				<-connected
				t.ask(client, url, http2, func() {})
			})
		}
	}
	t.ready.Wait()
	return t
}

func newTransport(http2 bool) *http.Transport {
	t := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		Protocols:       new(http.Protocols),
	}
	t.Protocols.SetHTTP1(!http2)
	t.Protocols.SetHTTP2(http2)
	return t
}

// onceOnly keeps a body from being sent again.
type onceOnly struct{ io.Reader }

func (t *Traffic) ask(client *http.Client, url string, http2 bool, connected func()) {
	defer client.CloseIdleConnections()
	ready, begun := false, time.Now()
	getReady := func() {
		if !ready {
			ready = true
			connected()
			t.ready.Done()
		}
	}
	defer getReady()
	for {
		var body io.Reader = strings.NewReader("body")
		if !http2 {
			// Over HTTP/2 a client may send again what the last GOAWAY refused.
			body = onceOnly{body}
		}
		response, err := client.Post(url, "text/plain", body)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
			return
		}
		if err != nil && !ready && time.Since(begun) < clienttest.Patience {
			continue
		}
		if err != nil {
			t.errors <- err
			return
		}
		t.Answered.Add(1)
		getReady()
	}
}

// ExpectNoneLost waits for the end of the clients, and fails the test unless each
// request that the server has served was answered, and none was lost on the way.
func (t *Traffic) ExpectNoneLost(test testing.TB, served int64) {
	test.Helper()
	t.ExpectEnd(test)
	if answered := t.Answered.Load(); answered != served {
		test.Errorf("%d requests were served and %d answered", served, answered)
	}
}

// ExpectEnd is ExpectNoneLost without a look at the server's count.
func (t *Traffic) ExpectEnd(test testing.TB) {
	test.Helper()
	t.clients.Wait()
	close(t.errors)
	for err := range t.errors {
		test.Errorf("lost: %v", err)
	}
}
