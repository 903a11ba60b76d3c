package fleet

import (
	"sync/atomic"

	"github.com/politeclose/politeclose/core"
)

// sentAway remembers how many connections had been closed for excess at the
// last two polls.
//
// A client that is told to go opens its next connection with its next request.
// Until then nobody counts it, so that a fleet that sends many away looks
// smaller than it is, and would send away more than it should. So it counts
// where it was, for one to two intervals. Where clients come back sooner some
// count twice, and closing becomes a little slower while there is much of it.
type sentAway struct{ before, last atomic.Uint64 }

func (a *sentAway) poll(s core.Stats) { a.before.Store(a.last.Swap(s.Closes[core.ReasonExcess])) }

// connections are those that are open, hijacked ones included, and those that
// have been sent away lately.
func (a *sentAway) connections(s core.Stats) int {
	return s.Open + s.Hijacked + int(s.Closes[core.ReasonExcess]-a.before.Load())
}
