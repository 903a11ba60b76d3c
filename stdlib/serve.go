package stdlib

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib/internal/quiesce"
)

// Serve serves srv until ctx is done, and then drains it:
//
//  1. The flag goes up: [Ready] answers 503, responses announce that their
//     connection ends, [core.Leaving] channels close. The listener stays open for
//     the [LameDuck].
//  2. The listener is closed. One that Serve has opened itself is emptied first: new
//     connections are kept off it while those who have begun to connect are
//     accepted, which is over in milliseconds where nobody connects. Connections
//     live on.
//  3. Each one's next request is answered and announced, and the connection ends.
//     One without a request for the [IdleGrace] is closed without a word.
//  4. When the last one has gone srv.Shutdown runs the RegisterOnShutdown
//     functions. At the [DrainTimeout] what is left is cut first.
//
// It returns with a report and no error where nobody had to be cut. Each step is a
// line of the Controller's logger, the last one with the report.
//
// It tracks srv with ctl unless [Track] did, and wraps the listener with
// [Listener]. Several servers may share ctl; the drain of one makes all of them
// announce, and each Serve waits for the connections of its own listener. A server
// may have a Serve for each of several listeners, which end each on its own; the
// last one shuts the server down. ctl.Drain alone announces and closes no listener.
// Neither srv nor ctl can be served again.
//
// The errors: a bad option, a Controller or a server that a drain has used up, an
// address that cannot be listened on and a certificate that cannot be read are
// returned at once, with the option, the address or the file in them. An error of
// Accept begins the drain without a lame duck and is returned after it.
// [ErrDrainTimeout] says that connections were cut at the end, and [ErrForced] that
// this was forced. If somebody else calls srv.Shutdown or srv.Close, Serve waits for
// the connections, DrainTimeout at most, and returns [http.ErrServerClosed]; streams
// are told, and HTTP/2 connections are announced.
//
// Until the drain begins no goroutine runs but the caller's, one with [Signals], one
// for a ctx of a type that is not package context's, and one where the listener is
// of a type of the program's own or the server has hooks: what they do is not
// waited for at the end.
func Serve(ctx context.Context, srv *http.Server, ctl *core.Controller, opts ...ServeOption) (Report, error) {
	cfg, err := configure(opts)
	arrived := make(chan os.Signal, 2)
	defer signal.Stop(arrived)
	d, err := prepare(ctx, srv, ctl, cfg, err, arrived)
	if err == nil {
		return d.serve(ctx)
	}
	if cfg.listener != nil {
		closeUnserved(cfg.listener)
	}
	if errors.Is(err, errDrained) && ctx.Err() != nil {
		return Report{}, nil // another Serve of the server was quicker
	}
	return Report{}, fmt.Errorf("politeclose: Serve: %w", err)
}

// closeUnserved closes a listener that nobody will serve. It has been listening
// for as long as the program has had it, so somebody may be connecting: who is
// left in its queue sees a reset, and whom it accepts an orderly end, once Serve
// has said why.
func closeUnserved(l net.Listener) {
	defer l.Close()
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return
	}
	_ = tcp.SetDeadline(time.Now().Add(unservedGrace))
	for c, err := tcp.Accept(); err == nil; c, err = tcp.Accept() {
		time.AfterFunc(unservedEnd, func() { c.Close() })
	}
}

const (
	// unservedGrace is longer than a connect takes on the machine itself.
	unservedGrace = 20 * time.Millisecond
	// unservedEnd leaves Serve the time to return before them, also on a busy
	// machine.
	unservedEnd = 10 * unservedGrace
)

// prepare does what can fail.
func prepare(ctx context.Context, srv *http.Server, ctl *core.Controller, cfg *serveConfig, bad error, arrived chan os.Signal) (*drain, error) {
	if err := checkArguments(ctx, srv, ctl); err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, bad
	}
	if cfg.drainTimeout == 0 {
		cfg.drainTimeout = defaultTimeout
	}
	if err := cfg.checkTimes(ctl, "DrainTimeout"); err != nil {
		return nil, err
	}
	if err := cfg.checkListener(); err != nil {
		return nil, err
	}
	if err := cfg.checkServer(srv); err != nil {
		return nil, err
	}
	t, err := track(srv, ctl)
	if err != nil {
		return nil, err
	}
	if err := t.advertise(cfg.keepAliveSeconds); err != nil {
		return nil, err
	}
	d := newDrain(srv, t, cfg)
	d.asked = ctx.Done()
	if err := t.join(d); err != nil {
		return nil, err
	}
	if ctl.UsedUp() && ctx.Err() == nil {
		err = errors.New("a drain has used the Controller up; make a new one with core.New")
	}
	d.listenTo(arrived) // before somebody can connect, whom a signal would take along
	if err == nil {
		err = d.listen()
	}
	if err != nil {
		t.quit(d)
		return nil, err
	}
	// BaseContext itself may have been replaced. Only the first Serve can see to
	// that: net/http reads the hooks from then on.
	t.attached.Do(func() { t.attach(srv) })
	return d, nil
}

// listen makes the drain the one of a listener.
func (d *drain) listen() error {
	inner, err := d.cfg.open(d.srv)
	if err != nil {
		return err
	}
	d.serving, d.own = listenWith(inner, d.ctl)
	if !d.tracker.adopt(d.own) || !d.own.tally.drain.CompareAndSwap(nil, d) {
		return fmt.Errorf("On: the listener %v is served already; make one for each Serve", inner.Addr())
	}
	return nil
}

func (d *drain) serve(ctx context.Context) (Report, error) {
	if d.signals != nil {
		d.start()
	}
	defer context.AfterFunc(d.cfg.force, d.start)()
	defer context.AfterFunc(ctx, d.start)()
	if listening := d.cfg.onListening; listening != nil {
		go listening(d.own.Addr())
	}

	accepted := newLatch()
	if d.tracker.hooked || !isStandard(d.own.Listener) {
		// In the accept loop there is user code.
		go accepted.open(d.accept)
		<-d.over.opened
		accepted.opensWithin(lastWait)
	} else {
		d.accept()
		<-d.over.opened
	}
	return d.report, d.err
}

// accept runs the server's accept loop until the drain lets it go.
func (d *drain) accept() {
	serve := (*http.Server).Serve
	if d.cfg.serveTLS != nil {
		serve = d.cfg.serveTLS
	}
	d.tracker.served(d.own, serve(d.srv, d.serving))
	d.start()
}

// isStandard reports whether l is a listener whose Close ends an Accept under way
// for sure, and does not wait.
func isStandard(l net.Listener) bool {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener, *quiesce.Listener:
		return true
	}
	return false
}
