package faults

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// pipeline returns so many requests of 1 kB: more than net/http reads ahead, so that some are still in the socket when
// the connection is closed.
func pipeline(requests int) string {
	padding := "X-Padding: " + strings.Repeat("x", 1000)
	var all strings.Builder
	for i := 1; i <= requests; i++ {
		all.WriteString(clienttest.Request("GET", fmt.Sprint("/", i), padding))
	}
	return all.String()
}

// The responses are large enough for a reset to find some of the last one unread.
func TestADrainInTheMiddleOfAPipelineEndsItBehindTheAnnouncedResponse(t *testing.T) {
	const requests, announced, size = 100, 50, 100 << 10
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		drain := make(chan func(), 1)
		last, filling := fmt.Sprint("/", announced), strings.Repeat("x", size)
		var handled atomic.Int32
		s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handled.Add(1)
			if r.URL.Path == last {
				(<-drain)()
			}
			w.Write([]byte(r.URL.Path + filling))
		}))
		drain <- s.BeginDrain
		s.start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
		client := over.Dial(t, s.Address)
		client.Send(pipeline(requests))
		for i := 1; i <= announced; i++ {
			r := client.Receive()
			if r.Body != fmt.Sprint("/", i)+filling {
				t.Errorf("response %d is another one, of %d bytes", i, len(r.Body))
			}
			if i < announced && r.Connection != nil {
				t.Errorf("Connection is %q on response %d", r.Connection, i)
			}
			if i == announced {
				client.ExpectClosed(r)
			}
		}
		client.Close()
		s.expectEnd(stdlib.Report{Announced: 1, Served: 1, InputAfterAnnounce: 1}, nil)
		if got := handled.Load(); got != announced {
			t.Errorf("%d requests were handled, and %d answered", got, announced)
		}
	})
}

// Wherever a drain finds the pipelines, each is answered up to one response, and what was handled was answered.
func TestADrainEndsEveryPipelineBehindOneAnnouncedResponse(t *testing.T) {
	const pipelines, requests, begun = 20, 100, 300
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		var handled atomic.Int32
		midway := make(chan struct{})
		s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if handled.Add(1) == begun {
				close(midway)
			}
			w.Write([]byte(r.URL.Path))
		})).start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
		clients := make([]*clienttest.Conn, pipelines)
		for i := range clients {
			clients[i] = over.Dial(t, s.Address)
		}
		all, sent := pipeline(requests), make(chan error, pipelines)
		for _, c := range clients {
			go func() {
				_, err := c.Write([]byte(all))
				sent <- err
			}()
		}
		clienttest.Receive(t, "so many requests", midway)
		s.BeginDrain()
		answered := 0
		for _, c := range clients {
			if err := clienttest.Receive(t, "the pipeline is sent", sent); err != nil {
				t.Fatal(err)
			}
			answered += answeredInOrder(t, c, requests)
			c.Close()
		}
		clienttest.Receive(t, "the end of Serve", s.Done)
		s.isEmpty()
		if s.Err != nil || s.Report.Announced != pipelines || s.Report.Forced+s.Report.ClosedIdle > 0 {
			t.Errorf("Serve: %+v, %v", s.Report, s.Err)
		}
		if got := handled.Load(); got != int32(answered) {
			t.Errorf("%d requests were handled, and %d answered", got, answered)
		}
	})
}

// answeredInOrder reads up to the announced response and returns how many there were.
func answeredInOrder(t *testing.T, c *clienttest.Conn, requests int) int {
	t.Helper()
	for i := 1; i <= requests; i++ {
		r := c.Receive()
		if want := fmt.Sprint("/", i); r.Body != want {
			t.Errorf("the response is %q, want %q", r.Body, want)
		}
		if r.Connection != nil {
			c.ExpectClosed(r)
			return i
		}
	}
	// All of it was answered before the drain began: one more request is.
	c.ExpectClosed(c.Get("/"))
	return requests + 1
}
