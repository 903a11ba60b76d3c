package faults

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// A connection ends where its response says so and nowhere else, however the flag changes around it.
func TestADrainThatIsCalledOffAThousandTimesLosesNobody(t *testing.T) {
	const clients = 8
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		flaps := 1000
		if over.TLS() && !full {
			flaps = 150 // of which each costs several handshakes
		}
		s := newServer(t, servertest.Hello).start(over, stdlib.IdleGrace(far), stdlib.DrainTimeout(far))
		load := newLoad()
		var visitors sync.WaitGroup
		defer visitors.Wait()
		defer load.calledOff.Store(true)
		for range clients {
			visitors.Go(func() { load.keepVisiting(s.Address, over) })
		}
		for range flaps {
			s.Controller.Drain()
			load.goesOn(t)
			if !s.Controller.Resume() {
				t.Error("Resume refused")
			}
			load.goesOn(t)
		}
		load.calledOff.Store(true)
		visitors.Wait()
		if len(load.failed) > 0 {
			t.Fatalf("somebody lost a request: %v", <-load.failed)
		}
		asked, closed := load.asked.Load(), load.closed.Load()
		s.isEmpty()
		stats := s.Controller.Stats()
		if stats.Exchanges != asked || stats.Closes[core.ReasonDrain] != closed || stats.Draining {
			t.Errorf("of the clients' %d responses %d were announced as the last ones; the statistics are %+v", asked, closed, stats)
		}
		if closed == 0 {
			t.Error("no connection was announced")
		}
		t.Logf("%s: %d responses, %d announced, none lost", over.Name, asked, closed)
		s.Drain()
		s.expectEnd(stdlib.Report{}, nil)
	})
}

// load is what some visitors do at once.
type load struct {
	calledOff     atomic.Bool
	asked, closed atomic.Uint64
	heard         chan struct{} // has a receiver told of the next response
	failed        chan error    // has the first failure
}

func newLoad() *load { return &load{heard: make(chan struct{}), failed: make(chan error, 1)} }

// goesOn waits for a response.
func (l *load) goesOn(t *testing.T) {
	t.Helper()
	select {
	case <-l.heard:
	case err := <-l.failed:
		t.Fatalf("somebody lost a request: %v", err)
	}
}

// keepVisiting asks until it is called off, on one connection after the other.
func (l *load) keepVisiting(address string, over servertest.Transport) {
	for !l.calledOff.Load() {
		if err := l.visitOnce(address, over); err != nil {
			select {
			case l.failed <- err:
			default:
			}
			return
		}
	}
}

// visitOnce asks until the server ends the connection.
func (l *load) visitOnce(address string, over servertest.Transport) error {
	v, err := visit(address, over)
	if err != nil {
		return err
	}
	defer v.leave()
	for !l.calledOff.Load() {
		last, err := v.ask()
		if err != nil {
			return err
		}
		l.asked.Add(1)
		select {
		case l.heard <- struct{}{}:
		default:
		}
		if last {
			l.closed.Add(1)
			break
		}
	}
	return nil
}
