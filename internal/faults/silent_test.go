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
	const grace = 50 * time.Millisecond
	withinTheTimeout(t, func(t *testing.T, lameDuck time.Duration) (inTime bool) {
		s := newServer(t, servertest.Hello).start(servertest.OverTLS,
			stdlib.LameDuck(lameDuck), stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
		began := time.Now()
		s.BeginDrain()
		client, err := visit(s.Address, servertest.Cleartext)
		if err == nil {
			t.Cleanup(client.leave)
		}
		isOver := func() bool { return time.Since(began) >= lameDuck }
		s.ExpectStats("it is open", func(s core.Stats) bool { return s.Open == 1 || isOver() })
		if isOver() {
			return false
		}
		if took := s.expectEnd(stdlib.Report{ClosedIdle: 1}, nil); took < lameDuck+grace {
			t.Errorf("the drain was over after %v", took)
		}
		if err := client.end(); err != nil {
			t.Errorf("the connection did not end: %v", err)
		}
		return true
	})
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
