package faults

import (
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// The clients of this file are in cleartext, whatever the server speaks: over TLS the handshake is never begun.

func TestAConnectionThatNeverSpeaksIsClosedAfterTheGrace(t *testing.T) {
	const lameDuck, grace = 50 * time.Millisecond, 50 * time.Millisecond
	overEach(t, func(t *testing.T, over transport) {
		s := newServer(t, http.HandlerFunc(hello)).start(over,
			stdlib.LameDuck(lameDuck), stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
		client := clienttest.Dial(t, s.address)
		s.expectStats("it is open", func(s core.Stats) bool { return s.Open == 1 && s.Idle == 1 })
		s.drain()
		if took := s.expectEnd(stdlib.Report{ClosedIdle: 1}, nil); took < lameDuck+grace {
			t.Errorf("the drain was over after %v", took)
		}
		client.ExpectEnd()
	})
}

func TestAConnectionOfTheLameDuckThatNeverSpeaksIsClosedAfterTheGrace(t *testing.T) {
	const lameDuck, grace = time.Second, 50 * time.Millisecond // time enough to connect
	s := newServer(t, http.HandlerFunc(hello)).start(overTLS,
		stdlib.LameDuck(lameDuck), stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
	s.beginDrain()
	client := clienttest.Dial(t, s.address)
	if took := s.expectEnd(stdlib.Report{ClosedIdle: 1}, nil); took < lameDuck+grace {
		t.Errorf("the drain was over after %v", took)
	}
	client.ExpectEnd()
}

func TestAConnectionThatNeverSpeaksIsClosedAtTheTimeoutWhereThereIsNoGrace(t *testing.T) {
	const timeout = 50 * time.Millisecond
	overEach(t, func(t *testing.T, over transport) {
		s := newServer(t, http.HandlerFunc(hello)).start(over, stdlib.IdleGrace(0), stdlib.DrainTimeout(timeout))
		client := clienttest.Dial(t, s.address)
		s.expectStats("it is open", func(s core.Stats) bool { return s.Open == 1 })
		s.drain()
		if took := s.expectEnd(stdlib.Report{ClosedIdle: 1}, stdlib.ErrDrainTimeout); took < timeout {
			t.Errorf("the drain was over after %v", took)
		}
		client.ExpectEnd()
	})
}
