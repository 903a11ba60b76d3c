package differential

import (
	"time"

	"github.com/politeclose/politeclose/core"
)

func (c *call) closeAfter() {
	late := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.state.committed
	}()
	c.note(sawCloseAfter)
	will := core.CloseAfter(c.r.Context(), core.ReasonHandler)
	if c.e.ctl == nil || c.e.bottom.detached {
		if will {
			c.e.t.Errorf("request %d: CloseAfter says that a connection will end that nobody knows", c.number)
		}
		return
	}
	if want := !late || c.r.ProtoMajor == 2 && c.e.p.served != untracked; will != want && !c.clientCloses() {
		c.e.t.Errorf("request %d: CloseAfter says %v, late: %v", c.number, will, late)
	}
}

// leaving asks for the channel and expects it to be open.
func (c *call) leaving() <-chan struct{} {
	left := c.keepLeaving()
	c.expectStaying(left)
	return left
}

func (c *call) keepLeaving() <-chan struct{} {
	left := core.Leaving(c.r.Context())
	switch known := c.e.ctl != nil && !c.e.bottom.detached; {
	case known && left == nil:
		c.e.t.Errorf("request %d: Leaving is nil", c.number)
	case !known && left != nil:
		c.e.t.Errorf("request %d: Leaving is not nil without a Controller", c.number)
	case left != nil:
		c.e.keep(c.number, left)
	}
	return left
}

// expectStaying holds Leaving to the reasons that it may close for. A drain may
// have been called off since.
func (c *call) expectStaying(left <-chan struct{}) {
	if c.e.draining() {
		c.told = true
	}
	select {
	case <-left:
		if !c.told && c.r.Context().Err() == nil && !c.e.concurrent {
			c.e.t.Errorf("request %d: Leaving is closed, and there is no reason", c.number)
		}
	default:
	}
}

func (c *call) awaitLeaving(left <-chan struct{}) {
	if left == nil {
		return
	}
	select {
	case <-left:
		c.told = true
	case <-time.After(bound()):
		c.e.t.Errorf("request %d: Leaving stays open", c.number)
		return
	}
	if c.e.concurrent {
		return // it may be another stream's reason
	}
	want := core.ReasonDrain
	if c.r.Context().Err() != nil {
		want = ""
	}
	if got := core.LeavingReason(c.r.Context()); got != want && got != core.ReasonDrain {
		c.e.t.Errorf("request %d: LeavingReason is %q, not %q", c.number, got, want)
	}
}
