package faults

import (
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/servertest"
)

// withinTheTimeout runs a test of what has to come before a timeout of the server's: with a longer one where the machine
// was too slow for that.
func withinTheTimeout(t *testing.T, test func(t *testing.T, timeout time.Duration) (inTime bool)) {
	t.Helper()
	for _, timeout := range []time.Duration{200 * time.Millisecond, time.Second, 5 * time.Second} {
		inTime := false
		t.Run(timeout.String(), func(t *testing.T) { inTime = test(t, timeout) })
		if inTime || t.Failed() {
			return
		}
	}
	t.Error("the machine was too slow each time")
}

// visitor returns a client that has made an exchange, and whose connection was kept.
func (s *server) visitor(over servertest.Transport) *visitor {
	s.T.Helper()
	v, err := visit(s.Address, over)
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(v.leave)
	if last, err := v.ask(); err != nil || last {
		s.T.Fatalf("last: %v, %v", last, err)
	}
	return v
}

// isToldInTime has a client ask, be told, and go, while the drain that began then has not come to its timeout. It
// reports false where the machine was too slow for that.
func (s *server) isToldInTime(v *visitor, began time.Time, timeout time.Duration) bool {
	s.T.Helper()
	told, err := v.ask()
	v.leave()
	s.ExpectStats("one is left", func(s core.Stats) bool { return s.Open <= 1 })
	if time.Since(began) >= timeout {
		return false
	}
	if err != nil || !told {
		s.T.Errorf("told: %v, %v", told, err)
	}
	return true
}
