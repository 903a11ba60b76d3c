package load

import (
	"fmt"

	"github.com/politeclose/politeclose/core"
)

// ofProcess is a signal whose thresholds are shares of what, from 0 to 1.
func ofProcess(name, what string, soft, hard float64, read func() (float64, error)) core.Signal {
	s := core.Signal{Name: name, Soft: soft, Hard: hard}
	s.Read = func(core.Snapshot) (float64, error) { return read() }
	if soft < 0 || hard > 1 {
		s.Read = func(core.Snapshot) (float64, error) {
			return 0, fmt.Errorf("soft %v and hard %v are not allowed; they are shares of %s, from 0 to 1", soft, hard, what)
		}
	}
	return s
}
