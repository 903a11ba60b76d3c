package faults

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// afterTheEOF answers when the server knows that nothing more will come: net/http cancels the context then.
func afterTheEOF(then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		then(w, r)
	}
}

func halfClose(t testing.TB, c *clienttest.Conn) {
	t.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

func TestAClientThatHalfClosesAfterItsRequestIsAnswered(t *testing.T) {
	t.Run("and kept, as far as that goes", func(t *testing.T) {
		servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
			s := newServer(t, afterTheEOF(servertest.Hello)).start(over)
			client := over.Dial(t, s.Address)
			client.Send(clienttest.Request("GET", "/"))
			halfClose(t, client)
			if r := expectHello(t, client.Receive()); r.Connection != nil {
				t.Errorf("Connection is %q", r.Connection)
			}
			client.ExpectEnd()
			s.isEmpty()
			s.Drain()
			s.expectEnd(stdlib.Report{}, nil)
		})
	})
	t.Run("when a drain begins", func(t *testing.T) {
		servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
			drain := make(chan func(), 1)
			s := newServer(t, afterTheEOF(func(w http.ResponseWriter, r *http.Request) {
				(<-drain)()
				servertest.Hello(w, r)
			}))
			drain <- s.BeginDrain
			s.start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
			client := over.Dial(t, s.Address)
			client.Send(clienttest.Request("GET", "/"))
			halfClose(t, client)
			client.ExpectClosed(expectHello(t, client.Receive()))
			client.Close()
			s.expectEnd(stdlib.Report{Announced: 1, Served: 1}, nil)
		})
	})
	// The middleware in the middle must not take the request whose context is done for one that was given up.
	t.Run("by a nested middleware, and counted once", func(t *testing.T) {
		servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
			sensitive := make(chan http.Handler, 1)
			s := newServer(t, afterTheEOF(func(w http.ResponseWriter, r *http.Request) {
				(<-sensitive).ServeHTTP(w, r)
			}))
			sensitive <- stdlib.Sensitive(s.Controller)(servertest.Hello)
			s.start(over)
			client := over.Dial(t, s.Address)
			client.Send(clienttest.Request("GET", "/"))
			halfClose(t, client)
			client.ExpectClosed(expectHello(t, client.Receive()))
			client.Close()
			s.isEmpty()
			if stats := s.Controller.Stats(); stats.Exchanges != 1 || stats.Closes[core.ReasonRoute] != 1 {
				t.Errorf("the statistics are %+v", stats)
			}
		})
	})
}

func TestAClientThatHalfClosesAfterAPipelineIsAnswered(t *testing.T) {
	const requests, announced = 10, 6
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		drain := make(chan func(), 1)
		last := fmt.Sprint("/", announced)
		s := newServer(t, afterTheEOF(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == last {
				(<-drain)()
			}
			w.Write([]byte(r.URL.Path))
		}))
		drain <- s.BeginDrain
		s.start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
		client := over.Dial(t, s.Address)
		var pipeline strings.Builder
		for i := 1; i <= requests; i++ {
			pipeline.WriteString(clienttest.Request("GET", fmt.Sprint("/", i)))
		}
		client.Send(pipeline.String())
		halfClose(t, client)
		for i := 1; i <= announced; i++ {
			r := client.Receive()
			if want := fmt.Sprint("/", i); r.Body != want {
				t.Errorf("the response is %q, want %q", r.Body, want)
			}
			if i == announced {
				client.ExpectClosed(r)
			} else if r.Connection != nil {
				t.Errorf("Connection is %q on response %d", r.Connection, i)
			}
		}
		client.Close()
		// What was read before the announcement is no input after it.
		s.expectEnd(stdlib.Report{Announced: 1, Served: 1}, nil)
	})
}
