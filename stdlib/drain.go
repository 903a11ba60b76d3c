package stdlib

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core"
)

// drain is the sequence that ends in an empty server:
//
//	begin          the flag goes up; the listener stays open for the lame duck
//	closeListener  connections live on
//	wait           until the last one is gone; silent ones go after the idle grace
//	               Shutdown, after cutting what is left at the timeout
//
// Shutdown comes last because it drops requests that it has already read
// (go.dev/issue/75591) and closes idle connections without a word.
type drain struct {
	srv      *http.Server
	ctl      *core.Controller
	tracker  *tracker
	listener net.Listener
	cfg      *serveConfig

	mu             sync.Mutex
	started        time.Time   // zero until the drain begins
	lameDuck       *time.Timer // nil without one
	listenerClosed atomic.Bool
	forced         context.Context
	force          context.CancelFunc

	closedIdle, cutOff int
}

// spreadSteps is in how many groups a spread drain tells the connections to which
// no response comes.
const spreadSteps = 100

func newDrain(srv *http.Server, ctl *core.Controller, t *tracker, ln net.Listener, cfg *serveConfig) *drain {
	d := &drain{srv: srv, ctl: ctl, tracker: t, listener: ln, cfg: cfg}
	d.forced, d.force = context.WithCancel(context.Background())
	return d
}

// begin raises the flag.
func (d *drain) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.started.IsZero() {
		return
	}
	d.startReport()
	d.ctl.Drain()
	if d.cfg.lameDuck > 0 {
		d.lameDuck = time.AfterFunc(d.cfg.lameDuck, d.closeListener)
		return
	}
	d.closeListenerLocked()
}

func (d *drain) startReport() {
	d.started = time.Now()
	if !d.ctl.Draining() {
		// A Drain that was taken back has announced, and is not this one.
		d.tracker.announced.Store(0)
		d.tracker.served.Store(0)
		d.tracker.inputAfterAnnounce.Store(0)
		for _, r := range d.tracker.records.all() {
			r.ForgetServed()
		}
	}
	d.tracker.everHijacked.Store(d.tracker.hijacked.Load())
}

func (d *drain) closeListener() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closeListenerLocked()
}

func (d *drain) closeListenerLocked() {
	if d.listenerClosed.Load() {
		return
	}
	if d.lameDuck != nil {
		d.lameDuck.Stop()
	}
	d.ctl.ListenerClosed()
	d.ctl.Drain() // a Resume during the lame duck did not call the drain off
	d.tracker.watch()
	d.announceWithoutResponse()
	d.listenerClosed.Store(true)
	d.listener.Close()
}

// forceEnd ends the drain now, beginning it first if need be.
func (d *drain) forceEnd() {
	d.force()
	d.begin()
	d.closeListener()
}

// wait waits for the last connection, or for the end of patience, and leaves the
// server shut down. It reports whether no connection had to be cut.
func (d *drain) wait() (emptied bool) {
	timeout := time.NewTimer(d.cfg.drainTimeout - time.Since(d.started))
	defer timeout.Stop()
	var silent *time.Timer
	var silence <-chan time.Time
	if d.cfg.idleGrace > 0 {
		silent = time.NewTimer(d.cfg.idleGrace)
		defer silent.Stop()
		silence = silent.C
	}
	var moments <-chan time.Time
	if spread := d.ctl.DrainSpread(); spread > 0 {
		ticker := time.NewTicker(max(spread/spreadSteps, 1))
		defer ticker.Stop()
		moments = ticker.C
	}
	for d.tracker.live.Load() > 0 {
		select {
		case <-d.tracker.changed:
		case <-moments:
			d.announceWithoutResponse()
		case <-silence:
			silent.Reset(d.closeSilent())
		case <-timeout.C:
			return d.cut()
		case <-d.forced.Done():
			return d.cut()
		}
	}
	d.tracker.notify() // the other Serve of a server with two listeners
	// A connection that can not be looked up has no record.
	ctx, cancel := context.WithDeadline(d.forced, d.started.Add(d.cfg.drainTimeout))
	defer cancel()
	if d.shutDown(ctx) != nil {
		_ = d.srv.Close()
		return false
	}
	return true
}

// shutDown shuts the server down unless somebody has, so that RegisterOnShutdown
// functions run once.
func (d *drain) shutDown(ctx context.Context) error {
	if t := d.tracker; t.shutDownByOthers.Load() || t.shutDown.Swap(true) {
		return nil
	}
	return d.srv.Shutdown(ctx)
}

// announceWithoutResponse tells the HTTP/2 connections whose moment in the spread
// has come.
func (d *drain) announceWithoutResponse() {
	for _, r := range d.tracker.records.all() {
		if r.http2.Load() != nil && r.DrainDue() {
			r.AnnounceDrain()
		}
	}
}

// closeSilent closes the connections that had no request for the idle grace, and
// returns when the next one is due.
func (d *drain) closeSilent() time.Duration {
	now, grace := d.tracker.now(), int64(d.cfg.idleGrace)
	next := now + grace
	for _, r := range d.tracker.records.all() {
		if !r.silent() {
			continue
		}
		if due := r.heardLast() + grace; due > now {
			next = min(next, due)
			continue
		}
		if r.http2.Load() != nil {
			r.AnnounceDrain() // nobody has to be closed without a word
			continue
		}
		d.closedIdle++
		r.close()
	}
	return time.Duration(next - now)
}

// cut ends what is left, and reports whether that was nothing but sockets that
// wait for their client's end, behind an announced response.
func (d *drain) cut() (emptied bool) {
	emptied = true
	left := d.tracker.records.all()
	for _, r := range left {
		if announced, _ := r.Announced(); !announced || !r.closing() {
			emptied = false
		}
		switch {
		case r.silent():
			d.closedIdle++
		case !r.closing() && !r.Idle():
			d.cutOff++
		}
		r.cut()
	}
	expired, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.shutDown(expired)
	_ = d.srv.Close()
	for _, r := range left {
		// The handlers' goroutines may take their time; the report does not.
		r.leave(goneBoth)
	}
	return emptied
}

// afterShutdown waits, like somebody else's Shutdown, for all connections but the
// hijacked ones.
func (d *drain) afterShutdown() (Report, error) {
	d.mu.Lock()
	if d.started.IsZero() {
		d.startReport()
	}
	if d.lameDuck != nil {
		d.lameDuck.Stop()
	}
	d.mu.Unlock()
	d.ctl.ListenerClosed()
	d.tracker.shutDownByOthers.Store(true) // Close runs no hook that says so

	timeout := time.NewTimer(d.cfg.drainTimeout - time.Since(d.started))
	defer timeout.Stop()
	for d.tracker.live.Load() > d.tracker.hijacked.Load() {
		select {
		case <-d.tracker.changed:
			continue
		case <-timeout.C:
		case <-d.forced.Done():
			d.cut()
		}
		break
	}
	d.tracker.notify()
	return d.report(), http.ErrServerClosed
}

func (d *drain) report() Report {
	t := d.tracker
	return Report{
		Duration:           time.Since(d.started),
		Announced:          int(t.announced.Load()),
		ClosedIdle:         d.closedIdle,
		Forced:             d.cutOff,
		Hijacked:           int(t.everHijacked.Load()),
		Served:             int(t.served.Load()),
		InputAfterAnnounce: int(t.inputAfterAnnounce.Load()),
	}
}
