package core

import (
	"context"
	"net/http"
	"sync/atomic"
)

// untracked is an exchange on a connection without a record. What a record would
// remember it remembers itself, and it is the context of its request, where
// CloseAfter and Leaving find it.
type untracked struct {
	Exchange
	more
	context.Context
	asked  atomic.Uint32 // CloseAfter's reasonIndex
	leaver atomic.Pointer[leaver]
}

func (c *Controller) beginUntracked(r *http.Request) (*http.Request, *Exchange) {
	c.untrackedSaid.Do(func() {
		c.logger.Warn("politeclose: a request came over a connection without a record: " +
			"age, request count and excess cannot end it, and a share of the load or of a spread drain falls on responses; " +
			"give the server to stdlib.Track or stdlib.Serve. This is said once; Stats counts them")
	})
	u := &untracked{more: more{ctl: c}, Context: r.Context()}
	u.Exchange.more = &u.more
	u.request = r.WithContext(u)
	c.untracked.Add(1)
	c.shard(nil).begun.Add(1)
	return u.request, &u.Exchange
}

func untrackedOf(e *Exchange) *untracked { return e.request.Context().(*untracked) }

func (u *untracked) Value(key any) any {
	if key == (contextKey{}) {
		return u
	}
	return u.Context.Value(key)
}

func (u *untracked) ask(i reasonIndex) { u.asked.CompareAndSwap(0, uint32(i)) }

func (u *untracked) leaving() <-chan struct{} {
	l := u.leaver.Load()
	if l == nil {
		l = u.ctl.leavers.add(u.ctl.lots.Draw())
		if !u.leaver.CompareAndSwap(nil, l) {
			u.ctl.leavers.remove(l)
			l = u.leaver.Load()
		}
	}
	if u.state.Load()&stateEnded != 0 {
		u.ctl.leavers.remove(l)
	}
	return l.channel
}

func (u *untracked) end() {
	if l := u.leaver.Load(); l != nil {
		u.ctl.leavers.remove(l)
	}
}
