package stdlib_test

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// crowded is how many connections a test of an excess has over a share of 1, so
// that the first of half a minute's closes come soon.
const crowded = 40

// newCrowded returns a Controller that does not know its share before there are so
// many: a round that had begun with a few would leave the others alone.
func newCrowded(t *testing.T) *core.Controller {
	t.Helper()
	var ctl atomic.Pointer[core.Controller]
	made := servertest.NewController(t, core.OnExcess(func() int {
		c := ctl.Load()
		if c == nil {
			return 0
		}
		if s := c.Stats(); s.Open+s.Hijacked < crowded {
			return 0
		}
		return 1
	}))
	ctl.Store(made)
	return made
}

func TestSilentHTTP2ConnectionsInExcessAreTold(t *testing.T) {
	t.Parallel()
	ctl := newCrowded(t)
	s := serve(t, ctl, app(), servertest.OverTLS.Opts...)
	clients := make([]*clienttest.HTTP2, crowded)
	for i := range clients {
		clients[i] = clienttest.DialHTTP2(t, s.Address)
		clients[i].Get("/")
	}
	told := make(chan struct{}, crowded)
	var reading sync.WaitGroup
	for _, client := range clients {
		reading.Go(func() {
			for client.Step() == nil {
				if client.GoAway != nil {
					told <- struct{}{}
					return
				}
			}
		})
	}
	clienttest.Receive(t, "a client is told", told)
	if n := ctl.Stats().Closes[core.ReasonExcess]; n == 0 {
		t.Error("it is not counted")
	}
	for _, client := range clients {
		client.Close()
	}
	reading.Wait()
}

// leaves tells why each stream had to go.
func leaves(reasons chan<- core.Reason) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaving := core.Leaving(r.Context())
		http.NewResponseController(w).Flush()
		select {
		case <-leaving:
			reasons <- core.LeavingReason(r.Context())
		case <-r.Context().Done():
		}
	})
}

func TestStreamsOnConnectionsInExcessLeave(t *testing.T) {
	t.Parallel()
	ctl, reasons := newCrowded(t), make(chan core.Reason, crowded)
	s := serve(t, ctl, leaves(reasons))
	for range crowded {
		clienttest.Dial(t, s.Address).Send(clienttest.Request("GET", "/events"))
	}
	if got := clienttest.Receive(t, "a stream leaves", reasons); got != core.ReasonExcess {
		t.Errorf("it leaves for %q", got)
	}
}

func TestHijackedConnectionsInExcessLeave(t *testing.T) {
	t.Parallel()
	ctl, reasons := newCrowded(t), make(chan core.Reason, crowded)
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaving := core.Leaving(r.Context())
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		<-leaving
		reasons <- core.LeavingReason(r.Context())
	}))
	for range crowded {
		clienttest.Dial(t, s.Address).Send(clienttest.Request("GET", "/socket"))
	}
	if got := clienttest.Receive(t, "a stream leaves", reasons); got != core.ReasonExcess {
		t.Errorf("it leaves for %q", got)
	}
}
