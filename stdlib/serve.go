package stdlib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"

	"github.com/politeclose/politeclose/core"
)

// Serve serves srv until ctx is done, and then drains it:
//
//  1. The flag goes up: [Ready] answers 503, responses announce that their
//     connection ends, [core.Leaving] channels close. The listener stays open for
//     the [LameDuck].
//  2. The listener is closed. Connections live on.
//  3. Each one's next request is answered and announced, and the connection ends.
//     One without a request for the [IdleGrace] is closed without a word.
//  4. When the last one has gone srv.Shutdown runs the RegisterOnShutdown
//     functions. At the [DrainTimeout] what is left is cut first.
//
// It returns with a report and no error where nobody had to be cut.
//
// It tracks srv with ctl unless [Track] did, and wraps the listener with
// [Listener]. Several servers may share ctl; the drain of one makes all of them
// announce, and each Serve waits for the connections of its own server. A server
// with a Serve for each of several listeners is drained as a whole: end all of
// them. ctl.Drain alone announces and closes no listener. Neither srv nor ctl can
// be served again.
//
// The errors: a bad option, an address that can not be listened on and a
// certificate that can not be read are returned at once, with the option, the
// address or the file in them. An error of Accept begins the drain without a lame
// duck and is returned after it. [ErrDrainTimeout] says that connections were cut
// at the end. If somebody else calls srv.Shutdown, or srv.Close before the
// listener is closed, Serve waits for the connections, DrainTimeout at most, and
// returns [http.ErrServerClosed]; streams are told, and HTTP/2 connections are
// announced.
//
// Until the drain begins no goroutine runs but the caller's, one with [Signals],
// and one for a ctx of a type that is not package context's.
func Serve(ctx context.Context, srv *http.Server, ctl *core.Controller, opts ...ServeOption) (Report, error) {
	cfg := defaultServeConfig()
	report, err := cfg.serve(ctx, srv, ctl, opts)
	if cfg.listener != nil && !cfg.accepting {
		cfg.listener.Close()
	}
	return report, err
}

func (c *serveConfig) serve(ctx context.Context, srv *http.Server, ctl *core.Controller, opts []ServeOption) (Report, error) {
	if err := c.apply(ctx, srv, ctl, opts); err != nil {
		return Report{}, fmt.Errorf("politeclose: Serve: %w", err)
	}
	t, err := track(srv, ctl)
	if err != nil {
		return Report{}, err
	}
	if err := t.advertise(c.keepAliveSeconds); err != nil {
		return Report{}, fmt.Errorf("politeclose: Serve: %w", err)
	}
	arrived := make(chan os.Signal, 2)
	if len(c.signals) > 0 {
		// Before somebody can connect, whom a signal would take along.
		signal.Notify(arrived, c.signals...)
		defer signal.Stop(arrived)
	}
	ln, err := listen(srv, c)
	if err != nil {
		return Report{}, fmt.Errorf("politeclose: Serve: %w", err)
	}
	d := newDrain(srv, ctl, t, Listener(ln, ctl), c)
	if len(c.signals) > 0 {
		defer d.onSignals(arrived)()
	}
	defer context.AfterFunc(c.force, d.forceEnd)()
	defer context.AfterFunc(ctx, d.begin)()

	c.accepting = true
	return d.finish(d.accept())
}

func listen(srv *http.Server, cfg *serveConfig) (net.Listener, error) {
	if cfg.listener != nil {
		return cfg.listener, nil
	}
	addr := srv.Addr
	if addr == "" {
		addr = ":http"
		if cfg.tls {
			addr = ":https"
		}
	}
	return net.Listen("tcp", addr)
}

// accept runs the server's accept loop until the listener is closed.
func (d *drain) accept() error {
	if d.cfg.tls {
		return d.srv.ServeTLS(d.listener, d.cfg.cert, d.cfg.key)
	}
	return d.srv.Serve(d.listener)
}

// finish is what follows the accept loop.
func (d *drain) finish(acceptErr error) (Report, error) {
	switch {
	case errors.Is(acceptErr, http.ErrServerClosed):
		return d.afterShutdown()
	case d.listenerClosed.Load():
		acceptErr = nil // our own doing
	default:
		d.begin()
		d.closeListener()
	}
	err := acceptErr
	if emptied := d.wait(); !emptied {
		err = errors.Join(err, ErrDrainTimeout)
	}
	switch {
	case !d.tracker.shutDownByOthers.Load():
	case err == nil:
		err = http.ErrServerClosed
	default:
		err = errors.Join(err, http.ErrServerClosed)
	}
	return d.report(), err
}

// onSignals returns the function that ends the watch.
func (d *drain) onSignals(arrived <-chan os.Signal) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for _, act := range []func(){d.begin, d.forceEnd} {
			select {
			case <-arrived:
				act()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}
