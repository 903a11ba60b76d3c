package stdlib

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
)

// Who has seen in Stats that nothing is open must not be told by a drain that
// something was cut, or taken over.
func TestStatsSayThatAConnectionHasGoneWhenNoDrainFindsItAnyMore(t *testing.T) {
	ctl, err := core.New(core.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	srv := new(http.Server)
	tracked, err := track(srv, ctl)
	if err != nil {
		t.Fatal(err)
	}
	server, _ := tcpPair(t)
	r := tracked.open(t.Context(), server)
	r.SetState(http.StateNew)
	r.SetState(http.StateActive)
	r.SetState(http.StateHijacked)
	r.tally.hijacked.Add(1)

	list := &tracked.records.lists[r.list]
	list.mu.Lock()
	left := make(chan struct{})
	go func() {
		defer close(left)
		r.leave(goneBoth)
	}()
	clienttest.Eventually(t, "it is taken off the list", func() bool {
		return len(clienttest.Goroutines("stdlib.(*registry).remove")) > 0
	})
	if stats := ctl.Stats(); stats.Hijacked != 1 {
		t.Errorf("before it is off the list %d connections are open", stats.Hijacked)
	}
	list.mu.Unlock()
	clienttest.Receive(t, "its end", left)
	if stats := ctl.Stats(); stats.Hijacked != 0 || r.tally.hijacked.Load() != 0 || r.tally.live.Load() != 0 {
		t.Errorf("in the end %d connections are open, and the tally has %d, %d of them taken over", stats.Hijacked, r.tally.live.Load(), r.tally.hijacked.Load())
	}
}
