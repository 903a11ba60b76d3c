package stdlib

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/politeclose/politeclose/core"
)

// Shutdown drains a server that the program serves itself and that [Track] knows, in
// the place of srv.Shutdown(ctx): the steps, the report and the lines of the log are
// those of [Serve]. All of the server's listeners are closed, and a Serve of the
// server is asked to begin its own drain.
//
// The program's own call, http.Server's Serve or ListenAndServe, or a framework's
// Start, returns [http.ErrServerClosed], and not before the drain has ended. No
// socket of the server's is open or lingers when Shutdown returns.
//
// ctx's deadline is the timeout; where it has none the [DrainTimeout] is, 25 s unless
// the option says otherwise, and with both the earlier one. Where connections were
// cut for ctx its error is in the one that is returned, beside [ErrDrainTimeout], or
// [ErrForced] where ctx was canceled, and so is an error of Accept that comes during
// the lame duck, and ends it. The options [On], [Unshared], [ReusePort], [TLS],
// [OnListening] and [AdvertiseKeepAlive] are for the owner of a listener, and errors here.
//
// A server that is not tracked, or by another Controller, is drained as well as
// http.Server.Shutdown does, which loses requests, and that is an error. Calls at once,
// and later ones, have one drain and return what it came to, or ctx's error when that
// is done before. It is safe for concurrent use.
//
// A listener of the program's own type is closed twice, as http.Server.Shutdown
// closes it again; wrap it with [Listener] where that must not be.
func Shutdown(ctx context.Context, srv *http.Server, ctl *core.Controller, opts ...ServeOption) (Report, error) {
	cfg, bad := configure(opts)
	err := checkArguments(ctx, srv, ctl)
	if err == nil {
		err = bad
	}
	if err == nil {
		err = cfg.checkForShutdown(ctx, ctl)
	}
	if err != nil {
		return Report{}, fmt.Errorf("politeclose: Shutdown: %w", err)
	}
	arrived := make(chan os.Signal, 2)
	defer signal.Stop(arrived)
	t := trackerOf(srv)
	if t == nil || t.ctl != ctl {
		return shutDownUntracked(ctx, srv, ctl, cfg)
	}
	d, mine := t.beginWhole(func() *drain {
		d := newDrain(srv, t, cfg)
		d.cause = "a call of stdlib.Shutdown"
		d.ctx, d.ending, d.hurrying = ctx, nil, nil
		d.listenTo(arrived)
		return d
	})
	switch {
	case d == nil:
		return Report{}, nil
	case mine:
		d.start()
		<-d.over.opened
		return d.report, d.err
	}
	select {
	case <-d.over.opened:
		return d.report, d.err
	case <-ctx.Done():
		return Report{}, expiry(ctx)
	}
}

// checkForShutdown finds out whether the options are for Shutdown, and settles the
// timeout.
func (c *serveConfig) checkForShutdown(ctx context.Context, ctl *core.Controller) error {
	for _, option := range []struct {
		name  string
		given bool
	}{
		{"On", c.listener != nil},
		{"Unshared", c.unshared},
		{"ReusePort", c.reusePort},
		{"TLS", c.serveTLS != nil},
		{"OnListening", c.onListening != nil},
		{"AdvertiseKeepAlive", c.keepAliveMargin != 0},
	} {
		if option.given {
			return fmt.Errorf("%s: it is for the owner of a listener; give it to Serve, or leave it out", option.name)
		}
	}
	timeout := "DrainTimeout"
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if c.drainTimeout == 0 || left <= c.drainTimeout {
			timeout = "the time until the context's deadline"
			c.drainTimeout, c.byContext = left, true
		}
		if left <= 0 {
			return nil // it is over before it has begun
		}
	} else if c.drainTimeout == 0 {
		c.drainTimeout = defaultTimeout
	}
	return c.checkTimes(ctl, timeout)
}

// expiry is the error where a Shutdown ends for its context.
func expiry(ctx context.Context) error {
	why := ErrDrainTimeout
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		why = ErrForced
	}
	return fmt.Errorf("%w: %w", why, ctx.Err())
}

// shutDownUntracked does what http.Server can.
func shutDownUntracked(ctx context.Context, srv *http.Server, ctl *core.Controller, cfg *serveConfig) (Report, error) {
	began := time.Now()
	ctl.Drain()
	if !cfg.byContext {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.drainTimeout)
		defer cancel()
	}
	select {
	case <-time.After(cfg.lameDuck):
	case <-ctx.Done():
	}
	err := errors.New("politeclose: Shutdown: the server is not tracked by this Controller, and was shut down as net/http does it; " +
		"give it to stdlib.Track before it serves")
	if srv.Shutdown(ctx) != nil {
		_ = srv.Close()
		err = errors.Join(err, expiry(ctx))
	}
	return Report{Duration: time.Since(began)}, err
}
