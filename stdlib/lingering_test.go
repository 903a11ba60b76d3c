package stdlib_test

import (
	"io"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// A client that keeps its side open behind each announced close, without end, must
// not have a descriptor of ours for each.
func TestOnlySoManyClosesLingerAndTheOldestGoesFirst(t *testing.T) {
	const most = 1024
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	s := serve(t, ctl, servertest.Hello)
	// All at once: a close that nobody answers lingers for some seconds.
	clients := make([]*clienttest.Conn, most)
	for i := range clients {
		clients[i] = clienttest.Dial(t, s.Address)
	}
	oldest := clienttest.Dial(t, s.Address)
	oldest.ExpectClosed(get(t, oldest, "/login"))
	// A busy machine may take longer for all of them than a close lingers for a client
	// that says nothing.
	last := time.Now()
	speak := func(those []*clienttest.Conn) {
		if time.Since(last) > 500*time.Millisecond {
			last = time.Now()
			for _, c := range those {
				io.WriteString(c, "x")
			}
		}
	}
	for i, c := range clients {
		c.Send(clienttest.Request("GET", "/login"))
		speak(append(clients[:i:i], oldest))
	}
	// The oldest one's socket has gone: what is sent there is reset.
	oldest.ExpectGone()
	s.ExpectStats("no more than that linger", func(s core.Stats) bool {
		counted := uint64(0)
		speak(clients)
		for _, n := range s.Impaired {
			counted += n
		}
		return s.Open <= most && counted > 0
	})
}
