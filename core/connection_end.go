package core

import (
	"net/http"
	"sync/atomic"
	"time"
)

// ends counts how connections ended, in the order of allHow.
type ends [len(allHow)]atomic.Uint64

func (e *ends) count(how How) {
	for i := range allHow {
		if allHow[i] == how {
			e[i].Add(1)
		}
	}
}

// Gone says that the connection is over: the server has let go of it and its
// socket is closed. It is the last thing to be said, and once.
//
// seen is what the server knows of the end. [HowForced] and [HowIdle] say that the
// server itself ended it, in a drain. [HowClient] and [HowError] say that the
// client's end, or a reset, was seen, and [HowUnknown] that the server does not
// look. An empty one says that there was nothing to see: net/http closed it.
func (c *Connection) Gone(seen How) {
	if seen == HowUnknown && c.Hijacked() {
		c.set(bitLost) // a stream on it goes on until a drain
	}
	c.SetState(http.StateClosed)
	if c.protocol() == protocolUnknown {
		c.ctl.opened[protocolUnknown].Add(1)
	}
	how := c.how(seen)
	c.ctl.ended.count(how)
	c.observe(EventGone, func() (How, time.Duration) {
		if how == HowAnnounced && seen == HowClient {
			return how, c.sinceAnnouncement()
		}
		return how, 0
	})
}

// how makes of what a server has seen what it means for this connection.
func (c *Connection) how(seen How) How {
	bits := c.bits.Load()
	switch {
	case seen == HowForced || seen == HowIdle:
		return seen
	case bits&bitAnnounced != 0:
		return HowAnnounced
	case bits&bitClientClose != 0:
		return HowClient
	case seen != "":
		return seen
	case bits&bitWasHijacked != 0:
		return HowHandler
	case bits&bitWasActive != 0:
		return HowError
	}
	return HowIdle
}

// sinceAnnouncement returns 0 where nobody observed the announcement.
func (c *Connection) sinceAnnouncement() time.Duration {
	if s := c.shared.Load(); s != nil {
		if announced := s.announced.Load(); announced != 0 {
			return time.Duration(c.ctl.now() - announced)
		}
	}
	return 0
}
