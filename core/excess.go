package core

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/callback"
	"github.com/politeclose/politeclose/core/internal/leaving"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// OnExcess ends connections while there are more of them than this replica's
// fair share of the fleet's, with [ReasonExcess], so that they come back to
// replicas that have fewer. Package fleet has a fairShare function; any other
// that knows the fleet will do.
//
// fairShare returns how many connections this replica should have, 0 and below
// where it is not known: then nobody is closed. It is called at most once a
// second and never twice at once, when an exchange comes, which waits for it
// for 20 ms at most. One that panics counts as 0, which is logged once; while
// one does not return nobody is closed, which is logged once, too. nil is an
// error.
//
// It begins where there are more above the share than chance puts there, twice
// the square root of the share, so that a replica among equals closes nobody:
// 63 above a share of 1,000. The excess is spread over half a minute, over the
// connections and not over the responses; in that time nobody goes twice, since
// connections that came meanwhile stay, and so do those younger than 1 s. It
// waits while the share is not known. Where few clients had a request, another
// half minute follows, but not for the last few, a third of that root or 10 above
// a share of 1,000; nor does the first half minute stop short for as many below
// it, since the share is not exact while connections are on their way. When
// nobody else has had to go for half a minute, it begins again where it began the
// first time.
// Where the excess does not become smaller, because connections come back as
// fast as they go, nobody is closed for a minute, and the next time for twice as
// long.
//
// An HTTP/2 connection is told without waiting for a response, and a stream
// learns it from its [Leaving] channel. For them a timer runs once a second,
// from the first one on while there are connections. Hijacked connections
// count, too.
//
// Such closes use the [Budget], which has to allow a thirtieth of the excess
// per second for the half minute to be kept. Without connection records nobody
// is closed for excess.
//
// An exchange costs an atomic load while nobody has to go, and a reading of the
// clock once a second and while some have.
func OnExcess(fairShare func() int) Option {
	return func(c *config) error {
		if fairShare == nil {
			return errors.New("OnExcess: the fairShare function is nil")
		}
		c.fairShare = fairShare
		return nil
	}
}

// excessRule asks for the fair share and hands it to the arithmetic of package
// shed.
//
// A sample that finds nobody who has to go says so in one word, resting, so that
// exchanges need not even know the time. A timer takes it back when the next
// sample is due, and whichever exchange comes first then takes that. Where none
// comes the timer does not run again.
type excessRule struct {
	resting atomic.Bool
	wake    *time.Timer // nil until a sample rests; used by sample alone
	shed.Excess
	poll      callback.Poll
	ask       func() int
	open      func() int
	share     atomic.Int64 // the last answer; 0 = not known
	guard     callback.Guard
	logger    *slog.Logger
	simulated bool // on a clock that no timer keeps to
}

func (x *excessRule) init(cfg *config, open func() int) {
	x.ask, x.open, x.logger = cfg.fairShare, open, cfg.logger
	if x.simulated = cfg.simulated != nil; x.simulated {
		x.poll.InPlace()
	}
	x.Excess.Init()
	x.poll.Init(x.Interval(), x.sample, func() {
		x.logger.Error("politeclose: OnExcess's function does not answer; no connection is closed for excess until it does. This is said once")
	})
}

func (x *excessRule) refresh(now int64) { x.poll.Refresh(now) }

func (x *excessRule) sample(now int64) {
	share := max(x.answer(), 0)
	x.share.Store(int64(share))
	x.Sample(now, x.open(), share)
	x.restUntilNext()
}

func (x *excessRule) restUntilNext() {
	if x.simulated || x.Running() {
		x.resting.Store(false)
		return
	}
	x.resting.Store(true)
	interval := time.Duration(x.Interval())
	if x.wake == nil {
		x.wake = time.AfterFunc(interval, func() { x.resting.Store(false) })
		return
	}
	x.wake.Reset(interval)
}

func (x *excessRule) answer() (share int) {
	defer callback.Caught(&x.guard, x.logger, "OnExcess's function", &share)
	return x.ask()
}

// due reports whether the connection has to go now.
func (x *excessRule) due(conn *Connection, now int64) bool {
	x.refresh(now)
	return x.Goes(conn.lot, conn.opened, now)
}

// tellingInterval is how late a silent connection may be told.
const tellingInterval = time.Second

// tellUnasked makes connections that need no response be told without one: of
// an excess, those with AnnounceWith and those that carry a stream; of their
// age, those with AnnounceWith that are silent. A silent HTTP/1 connection
// cannot be told. One timer does it for all of a Controller's, and only while
// there are any.
func (c *Controller) tellUnasked() {
	if c.rules&(hasExcess|hasAge) != 0 && c.telling.CompareAndSwap(false, true) {
		time.AfterFunc(tellingInterval, c.tellNow)
	}
}

func (c *Controller) tellNow() {
	now := c.now()
	excess := false
	if c.rules&hasExcess != 0 {
		c.excess.refresh(now)
		excess = c.excess.Running() && c.drainSince() == 0
	}
	old := c.rules&hasAge != 0 && now >= c.askAgeAgain.Load()
	again := false
	for conn := range c.listed() {
		if excess && c.excess.Goes(conn.lot, conn.opened, now) {
			conn.leaveForExcess(now)
		}
		again = again || c.rules&hasExcess != 0 || conn.tells()
		if old && conn.tells() && conn.Idle() && conn.tooOld(now) {
			old = conn.leaveForAge(now)
		}
	}
	c.telling.Store(false)
	if again {
		c.tellUnasked()
	}
}

// leaveForAge tells a silent connection that is too old. It has no route there,
// so Exempt cannot apply. It reports whether the budget allowed it; where it did
// not, all are asked again a second later.
func (c *Connection) leaveForAge(now int64) (allowed bool) {
	if mark, _ := c.marked(); mark != 0 {
		return true
	}
	if !c.ctl.budget.Take(now) {
		c.ctl.heldBack.Add(1)
		c.ctl.askAgeAgain.Store(now + int64(time.Second))
		return false
	}
	c.announce(ageIndex, nil)
	return true
}

// leaveForExcess tells a connection that needs no response for it to go, if the
// rule's restraint and the budget allow it.
func (c *Connection) leaveForExcess(now int64) {
	var stream *leaving.Channel
	if !c.tells() {
		if stream = c.stream(); stream == nil {
			return
		}
	}
	if mark, _ := c.marked(); mark != 0 || c.bits.Load()&(bitOpen|bitHijacked) == 0 {
		return
	}
	switch {
	case !c.ctl.excess.Take(now, &c.ctl.budget):
		c.ctl.heldBack.Add(1)
	case stream != nil:
		c.setMark(excessIndex)
		stream.Close(uint32(excessIndex))
	default:
		c.announce(excessIndex, nil)
	}
}

// stream returns the channel of the HTTP/1 stream under way, nil where there is
// none or its route is exempt.
func (c *Connection) stream() *leaving.Channel {
	s := c.shared.Load()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	l := s.channel
	s.mu.Unlock()
	if e := c.current.Load(); l == nil || e != nil && exempted(e.state.Load()) {
		return nil
	}
	return l
}
