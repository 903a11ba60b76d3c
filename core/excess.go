package core

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/politeclose/politeclose/core/internal/callback"
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
// 63 above a share of 1,000. It ends where the share is reached. The excess is
// spread over half a minute, evenly over the connections and not over the
// responses; in that time nobody goes twice, since connections that came
// meanwhile stay, and so do those younger than 1 s. Where the excess does not
// become smaller by that, because connections come back as fast as they go,
// nobody is closed for a minute, and the next time for twice as long.
//
// Such closes use the [Budget], which has to allow a thirtieth of the excess
// per second for the half minute to be kept. Without connection records nobody
// is closed for excess.
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
type excessRule struct {
	shed.Excess
	poll   callback.Poll
	ask    func() int
	open   func() int
	share  atomic.Int64 // the last answer; 0 = not known
	guard  callback.Guard
	logger *slog.Logger
}

func (x *excessRule) init(cfg *config, open func() int) {
	x.ask, x.open, x.logger = cfg.fairShare, open, cfg.logger
	if cfg.simulated != nil {
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
