package faults

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// large is a handler with a response of so many bytes. It tells when the header is out, and how the writing ended.
func large(size int) (handler http.HandlerFunc, begun chan struct{}, ended chan error) {
	begun, ended = make(chan struct{}, 1), make(chan error, 1)
	part := make([]byte, 1<<20)
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/large" {
			servertest.Hello(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		http.NewResponseController(w).Flush()
		begun <- struct{}{}
		for range size / len(part) {
			if _, err := w.Write(part); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}, begun, ended
}

func TestAClientThatStallsInALargeResponseIsCutAtTheTimeout(t *testing.T) {
	const size = 128 << 20 // more than the buffers of both ends take in
	for name, want := range map[string]stdlib.Report{
		"that began before the drain": {Announced: 1, Served: 1, Forced: 1},
		"that began in it":            {Announced: 2, Served: 1, Forced: 1},
	} {
		t.Run(name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				withinTheTimeout(t, func(t *testing.T, timeout time.Duration) (inTime bool) {
					handler, begun, ended := large(size)
					s := newServer(t, handler).start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(timeout))
					stalled, other := over.Dial(t, s.Address), s.visitor(over)
					expectHello(t, stalled.Get("/"))
					began := time.Now()
					if want.Announced == 2 {
						s.BeginDrain()
					}
					stalled.Send(clienttest.Request("GET", "/large"))
					clienttest.Receive(t, "the response's beginning", begun)
					s.BeginDrain()
					if !s.isToldInTime(other, began, timeout) {
						return false
					}
					if took := s.expectEnd(want, stdlib.ErrDrainTimeout); took < timeout {
						t.Errorf("the drain was over after %v", took)
					}
					if err := clienttest.Receive(t, "the end of the writing", ended); err == nil {
						t.Error("the handler could write all of its response to a client that reads nothing")
					}
					if r, err := stalled.TryReceive(); err == nil && r.Truncated == nil {
						t.Errorf("the response that was cut looks whole: %d bytes", len(r.Body))
					}
					return true
				})
			})
		})
	}
}

func TestAClientThatStallsInALargeResponseForLongerThanTheGraceGetsItWhole(t *testing.T) {
	const grace, size = 50 * time.Millisecond, 16 << 20
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		handler, begun, _ := large(size)
		s := newServer(t, handler).start(over, stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
		stalled, idle := over.Dial(t, s.Address), over.Dial(t, s.Address)
		expectHello(t, stalled.Get("/"))
		expectHello(t, idle.Get("/"))
		s.BeginDrain()
		stalled.Send(clienttest.Request("GET", "/large"))
		clienttest.Receive(t, "the response's beginning", begun)
		idle.ExpectEnd() // the grace is over
		r := stalled.Receive()
		if len(r.Body) != size {
			t.Errorf("%d bytes came, want %d", len(r.Body), size)
		}
		stalled.ExpectClosed(r)
		stalled.Close()
		if took := s.expectEnd(stdlib.Report{Announced: 1, Served: 1, ClosedIdle: 1}, nil); took < grace {
			t.Errorf("the drain was over after %v", took)
		}
	})
}
