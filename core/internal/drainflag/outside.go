package drainflag

import (
	"log/slog"
	"sync/atomic"

	"github.com/politeclose/politeclose/core/internal/callback"
)

// outsideFlag is a function that DrainWhen was given, and what it said last.
// Each one is read for itself, so that one that hangs does not hide the others.
type outsideFlag struct {
	up     atomic.Bool
	poll   callback.Poll
	ask    func() bool
	guard  callback.Guard
	logger *slog.Logger
	tell   func(now int64)
}

func newOutsideFlag(ask func() bool, tell func(now int64), logger *slog.Logger) *outsideFlag {
	f := &outsideFlag{ask: ask, tell: tell, logger: logger}
	f.poll.Init(int64(interval), f.read, func() {
		logger.Error("politeclose: a DrainWhen function does not answer; what it said last counts until it does. This is said once")
	})
	return f
}

func (f *outsideFlag) read(now int64) {
	if up := f.answer(); f.up.Swap(up) != up {
		f.tell(now)
	}
}

func (f *outsideFlag) answer() (up bool) {
	defer callback.Caught(&f.guard, f.logger, "a DrainWhen function", &up)
	return f.ask()
}
