package faults

import (
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// The clients of this file are in cleartext, whatever the server speaks: over TLS the handshake is never begun.

func TestAConnectionThatNeverSpeaksIsClosedAfterTheGrace(t *testing.T) {
	const lameDuck, grace = 50 * time.Millisecond, 50 * time.Millisecond
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		s := newServer(t, servertest.Hello).start(over,
			stdlib.LameDuck(lameDuck), stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
		client := clienttest.Dial(t, s.Address)
		s.ExpectStats("it is open", func(s core.Stats) bool { return s.Open == 1 && s.Idle == 1 })
		s.Drain()
		if took := s.expectEnd(stdlib.Report{ClosedIdle: 1}, nil); took < lameDuck+grace {
			t.Errorf("the drain was over after %v", took)
		}
		client.ExpectEnd()
	})
}

func TestAConnectionOfTheLameDuckThatNeverSpeaksIsClosedAfterTheGrace(t *testing.T) {
	const lameDuck, grace = time.Second, 50 * time.Millisecond // time enough to connect
	s := newServer(t, servertest.Hello).start(servertest.OverTLS,
		stdlib.LameDuck(lameDuck), stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
	s.BeginDrain()
	client := clienttest.Dial(t, s.Address)
	if took := s.expectEnd(stdlib.Report{ClosedIdle: 1}, nil); took < lameDuck+grace {
		t.Errorf("the drain was over after %v", took)
	}
	client.ExpectEnd()
}

func TestAConnectionThatNeverSpeaksIsClosedAtTheTimeoutWhereThereIsNoGrace(t *testing.T) {
	const timeout = 50 * time.Millisecond
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		s := newServer(t, servertest.Hello).start(over, stdlib.IdleGrace(0), stdlib.DrainTimeout(timeout))
		client := clienttest.Dial(t, s.Address)
		s.ExpectStats("it is open", func(s core.Stats) bool { return s.Open == 1 })
		s.Drain()
		if took := s.expectEnd(stdlib.Report{ClosedIdle: 1}, stdlib.ErrDrainTimeout); took < timeout {
			t.Errorf("the drain was over after %v", took)
		}
		client.ExpectEnd()
	})
}
