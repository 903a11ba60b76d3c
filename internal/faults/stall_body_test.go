package faults

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// bodies are the two ways to send one: all but the end, and the end.
var bodies = []struct{ name, header, begin, end string }{
	{"of known length", "Content-Length: 10", "12345", "67890"},
	{"in chunks", "Transfer-Encoding: chunked", "5\r\n12345\r\n", "5\r\n67890\r\n0\r\n\r\n"},
}

// overEachBody runs a test with each of them, in cleartext and over TLS.
func overEachBody(t *testing.T, test func(t *testing.T, over servertest.Transport, header, begin, end string)) {
	t.Helper()
	for _, b := range bodies {
		t.Run(b.name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) { test(t, over, b.header, b.begin, b.end) })
		})
	}
}

// readsBody is a handler that answers once it has the whole body. It tells when it has begun to read, and how that ended.
func readsBody() (handler http.HandlerFunc, reading chan struct{}, ended chan error) {
	reading, ended = make(chan struct{}, 1), make(chan error, 1)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			io.ReadFull(r.Body, make([]byte, 5))
			reading <- struct{}{}
			_, err := io.ReadAll(r.Body)
			ended <- err
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
		}
		servertest.Hello(w, r)
	}, reading, ended
}

func TestAClientThatStallsInItsBodyIsCutAtTheTimeout(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		withinTheTimeout(t, func(t *testing.T, timeout time.Duration) (inTime bool) {
			handler, reading, ended := readsBody()
			s := newServer(t, handler).start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(timeout))
			stalled, other := over.Dial(t, s.Address), s.visitor(over)
			stalled.Send(clienttest.Request("POST", "/", bodies[0].header) + bodies[0].begin)
			clienttest.Receive(t, "the body's beginning", reading)
			began := time.Now()
			s.BeginDrain()
			if !s.isToldInTime(other, began, timeout) {
				return false
			}
			if took := s.expectEnd(stdlib.Report{Announced: 1, Served: 1, Forced: 1}, stdlib.ErrDrainTimeout); took < timeout {
				t.Errorf("the drain was over after %v", took)
			}
			if err := clienttest.Receive(t, "the body's end", ended); err == nil {
				t.Error("the handler took the half of the body for the whole")
			}
			stalled.ExpectGone()
			return true
		})
	})
}

// It is no idle connection: the grace is for those without a request.
func TestAClientThatStallsInItsBodyForLongerThanTheGraceIsAnswered(t *testing.T) {
	const grace = 50 * time.Millisecond
	overEachBody(t, func(t *testing.T, over servertest.Transport, header, begin, end string) {
		handler, reading, _ := readsBody()
		s := newServer(t, handler).start(over, stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
		stalled, idle := over.Dial(t, s.Address), over.Dial(t, s.Address)
		expectHello(t, idle.Get("/"))
		stalled.Send(clienttest.Request("POST", "/", header) + begin)
		clienttest.Receive(t, "the body's beginning", reading)
		s.BeginDrain()
		idle.ExpectEnd() // the grace is over
		stalled.Send(end)
		stalled.ExpectClosed(expectHello(t, stalled.Receive()))
		stalled.Close()
		if took := s.expectEnd(stdlib.Report{Announced: 1, Served: 1, ClosedIdle: 1}, nil); took < grace {
			t.Errorf("the drain was over after %v", took)
		}
	})
}

// As for a 401: the client may wait for the answer before it sends anything.
func TestAnAnswerInADrainDoesNotWaitForTheBodyThatTheClientHoldsBack(t *testing.T) {
	for _, b := range bodies {
		for name, sent := range map[string]string{"all of it": "", "the end of it": b.begin} {
			t.Run(b.name+", "+name, func(t *testing.T) {
				servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
					s := newServer(t, servertest.Hello).start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
					client := over.Dial(t, s.Address)
					expectHello(t, client.Get("/"))
					s.BeginDrain()
					client.Send(clienttest.Request("POST", "/", b.header) + sent)
					r := expectHello(t, client.Receive())
					client.Send(b.begin[len(sent):] + b.end)
					client.ExpectClosed(r) // net/http does not close before
					client.Close()
					s.expectEnd(stdlib.Report{Announced: 1, Served: 1}, nil)
				})
			})
		}
	}
}
