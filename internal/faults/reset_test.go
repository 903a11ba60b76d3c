package faults

import (
	"io"
	"net/http"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func reset(t testing.TB, c *clienttest.Conn) {
	t.Helper()
	if err := socket(c).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := socket(c).Close(); err != nil {
		t.Fatal(err)
	}
}

// interruptible is a handler that reads the body, and writes on "/stream" until it cannot. It tells when it is in the
// middle, and when it has been interrupted there.
func interruptible() (handler http.HandlerFunc, within, interrupted chan struct{}) {
	within, interrupted = make(chan struct{}, 1), make(chan struct{}, 1)
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			io.ReadFull(r.Body, make([]byte, 5))
			within <- struct{}{}
			if _, err := io.ReadAll(r.Body); err != nil {
				interrupted <- struct{}{}
			}
		case r.URL.Path == "/stream":
			io.WriteString(w, "hello")
			http.NewResponseController(w).Flush()
			within <- struct{}{}
			for part := make([]byte, 4<<10); ; {
				if _, err := w.Write(part); err != nil {
					interrupted <- struct{}{}
					return
				}
			}
		default:
			servertest.Hello(w, r)
		}
	}, within, interrupted
}

func TestAClientThatResetsLeavesNoCountBehind(t *testing.T) {
	for _, c := range []struct {
		name, sent string
		handled    bool
		inDrain    stdlib.Report // of the client that resets during a drain
	}{
		{name: "before it has sent anything"},
		{name: "in the middle of its header", sent: "GET / HTTP/1.1\r\nHo"},
		{
			name: "in the middle of its body", sent: clienttest.Request("POST", "/", "Content-Length: 10") + "12345",
			// The server answers a client of which it cannot know that it does not read.
			handled: true, inDrain: stdlib.Report{Announced: 1, Served: 1},
		},
		{
			name: "in the middle of a response", sent: clienttest.Request("GET", "/stream"),
			handled: true, inDrain: stdlib.Report{Announced: 1, Served: 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				for name, inDrain := range map[string]bool{"before a drain": false, "during a drain": true} {
					t.Run(name, func(t *testing.T) {
						handler, within, interrupted := interruptible()
						s := newServer(t, handler).start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
						client, other := over.Dial(t, s.Address), over.Dial(t, s.Address)
						other.ExpectKept(expectHello(t, other.Get("/")))
						want := stdlib.Report{Announced: 1, Served: 1} // the other one
						if inDrain {
							s.BeginDrain()
							want.Announced += c.inDrain.Announced
							want.Served += c.inDrain.Served
						}
						client.Send(c.sent)
						if c.handled {
							clienttest.Receive(t, "the middle", within)
						}
						reset(t, client)
						if c.handled {
							clienttest.Receive(t, "the interruption", interrupted)
						}
						s.ExpectStats("only the other one is open", func(s core.Stats) bool { return s.Open == 1 && s.InFlight == 0 })
						s.BeginDrain()
						other.ExpectClosed(expectHello(t, other.Get("/")))
						other.Close()
						s.expectEnd(want, nil)
					})
				}
			})
		})
	}
}

// The server lingers then, for a client that is no longer there.
func TestAClientThatResetsInsteadOfReadingTheAnnouncedResponseDoesNotHoldUpTheDrain(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-release
			w.Write(make([]byte, 1<<20))
		})).start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
		client := over.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/"))
		clienttest.Receive(t, "the request", entered)
		s.BeginDrain()
		close(release)
		// Its first byte says that the server has answered.
		if _, err := client.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		reset(t, client)
		s.expectEnd(stdlib.Report{Announced: 1, Served: 1}, nil)
	})
}
