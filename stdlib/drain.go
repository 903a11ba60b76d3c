package stdlib

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core"
)

// drain is the way of one Serve, or of a server that the program serves itself, to
// an empty server:
//
//  0. serving    until a context, a signal or an error of Accept asks for the end
//  1. lame duck  the flag is up, the listener open
//  2. closing    the listener; what it still accepts is served
//  3. emptying   connections end with their next response, silent ones after the
//     idle grace; what is left at the timeout is cut
//  4. report
//  5. Shutdown   by the last drain of a server
//
// Shutdown comes last because it drops requests that it has already read
// (go.dev/issue/75591) and closes idle connections without a word.
//
// One goroutine, run's, goes through all of it and owns what changes on the way.
// Whoever else has news stores it where it belongs (a tally, a listener, the
// tracker) and calls notify. User code has goroutines of its own.
type drain struct {
	srv     *http.Server
	ctl     *core.Controller
	tracker *tracker
	cfg     *serveConfig
	own     *listener    // Serve's; nil for Shutdown, which has what no Serve has
	serving net.Listener // that is own, or has it below TLS

	// What it is told. A nil channel says nothing.
	asked    <-chan struct{} // to begin
	forced   <-chan struct{} // to end now
	ctx      context.Context // of Shutdown: to end when it is done
	ending   <-chan struct{} // to begin, by a Shutdown of the whole server
	hurrying <-chan struct{} // to end now, by the end of that Shutdown
	signals  <-chan os.Signal
	news     chan struct{} // has a token after something else has changed

	starting sync.Once
	over     *latch // opens when report and err are there
	report   Report
	err      error

	// The rest is run's.
	cause     string // of the drain; "" while there is none
	failure   error  // of Accept, where that is the cause
	byOthers  bool   // somebody else's Shutdown or Close came while the listener was open
	flagUp    bool   // a drain of the Controller has begun, and has to end
	verdict   error  // why nothing is waited for any more
	last      bool   // drain of its server
	signalled int
	began     time.Time
	until     time.Time
	timeout   <-chan time.Time
	lameDuck  <-chan time.Time // nil when it is over
	onDrain   *latch           // opens when the hook has returned; nil where it was not called
	emptying  emptying
	speech    speech
}

func newDrain(srv *http.Server, t *tracker, cfg *serveConfig) *drain {
	return &drain{
		srv: srv, ctl: t.ctl, tracker: t, cfg: cfg, ctx: context.Background(),
		forced: cfg.force.Done(), ending: t.ending.opened, hurrying: t.hurrying.opened,
		news: make(chan struct{}, 1), over: newLatch(),
	}
}

// start starts run, once: before something asks for the end nothing runs.
func (d *drain) start() { d.starting.Do(func() { go d.run() }) }

// notify makes run look again at what it waits for.
func (d *drain) notify() {
	select {
	case d.news <- struct{}{}:
	default:
	}
}

func (d *drain) run() {
	d.wait(d.isAsked)
	d.setOut()
	if !d.byOthers {
		d.raiseFlag()
		d.wait(d.lameDuckIsOver)
	}
	for more := true; more; more, d.last = d.tracker.leave(d) {
		if !d.byOthers {
			d.closeListeners()
			d.wait(d.listenersHaveEnded)
			d.watch()
		}
		d.wait(d.isEmpty)
		d.cutWhatIsLeft()
	}
	d.makeReport()
	d.wait(d.hookHasReturned)
	d.sayEnd()
	d.shutDown()
	d.over.open(nil)
}

// wait returns when done, or when there is a verdict.
func (d *drain) wait(done func() bool) {
	for !done() && d.verdict == nil {
		select {
		case <-d.news:
		case <-d.asked:
			d.asked = nil
			d.begin("its context is done")
		case <-d.ending:
			d.ending = nil
			d.begin("a Shutdown of the server")
		case s := <-d.signals:
			d.signal(s)
		case <-d.forced:
			d.end("its end is forced", ErrForced)
		case <-d.hurrying:
			d.end("a Shutdown of the server", ErrForced)
		case <-d.ctx.Done():
			d.verdict = expiry(d.ctx)
		case <-d.timeout:
			d.verdict = ErrDrainTimeout
		case <-d.lameDuck:
			d.lameDuck = nil
		case <-d.emptying.silence:
			d.closeSilent()
		case <-d.emptying.moment:
			d.announce()
		}
	}
}

func (d *drain) begin(cause string) {
	if d.cause == "" {
		d.cause = cause
	}
}

func (d *drain) end(cause string, verdict error) {
	d.begin(cause)
	d.verdict = verdict
}

// listenTo makes the option's signals, if there are any, come in by arrived.
func (d *drain) listenTo(arrived chan os.Signal) {
	if len(d.cfg.signals) > 0 {
		signal.Notify(arrived, d.cfg.signals...)
		d.signals = arrived
	}
}

// signal makes the second signal force the end. The first never does: a context of
// signal.NotifyContext that has begun the drain got the same one.
func (d *drain) signal(s os.Signal) {
	d.begin(s.String())
	if d.signalled++; d.signalled > 1 {
		d.verdict = ErrForced
	}
}

func (d *drain) isForced() bool { return errors.Is(d.verdict, ErrForced) }

func (d *drain) isAsked() bool {
	d.lookAtListener()
	return d.cause != ""
}

func (d *drain) lameDuckIsOver() bool {
	d.lookAtListener()
	return d.lameDuck == nil
}

// lookAtListener looks for an end of listening that is not the drain's doing.
func (d *drain) lookAtListener() {
	switch l := d.own; {
	case l == nil:
		d.lookAtListeners()
	case d.tracker.shutDownByOthers.Load():
		d.begin("http.Server.Shutdown or Close")
		d.byOthers, d.lameDuck = true, nil
	case l.ended.isOpen() && l.err != nil:
		d.begin("an error of Accept")
		d.failure, d.lameDuck = l.err, nil
	}
}

// lookAtListeners does it for a Shutdown, while the program's own Serve waits with an
// error of Accept until the drain is over. What the program has closed is no error,
// and what its Serve has returned with is not ours to return.
func (d *drain) lookAtListeners() {
	accepts, ended := false, false
	d.tracker.each(d, func(t *tally) {
		switch l := t.listener; {
		case l == nil:
		case !l.ended.isOpen():
			accepts = true
		default:
			ended = true
			if !t.over.Load() && l.err != nil && !errors.Is(l.err, net.ErrClosed) && !errors.Is(l.err, http.ErrServerClosed) {
				d.failure = l.err
			}
		}
	})
	if ended && !accepts {
		d.lameDuck = nil
	}
}

// setOut begins the report and the timeout.
func (d *drain) setOut() {
	draining := d.ctl.Draining
	for _, t := range d.tallies() {
		t.beginReport(draining)
	}
	for _, r := range d.connections() {
		r.ForgetServedBefore(draining)
	}
	d.began = time.Now()
	d.until = d.began.Add(d.cfg.drainTimeout)
	if !d.cfg.byContext {
		d.timeout = time.After(d.cfg.drainTimeout)
	}
}

func (d *drain) raiseFlag() {
	d.flagUp = true
	d.ctl.DrainBegins(d.until)
	d.raise()
	if d.cfg.lameDuck > 0 && d.failure == nil {
		d.lameDuck = time.After(d.cfg.lameDuck)
	}
	d.sayBegin()
	if hook := d.cfg.onDrain; hook != nil {
		returned := newLatch()
		d.onDrain = returned
		go func() {
			defer d.notify()
			returned.open(hook)
		}()
	}
}

// raise raises the flag and, where there is no lame duck, closes at once what nobody
// empties. A Close of the user's that hangs holds it up for lastWait at most.
func (d *drain) raise() {
	var open []*listener
	d.tracker.each(d, func(t *tally) {
		if t.listener != nil && !t.listener.empties() {
			open = append(open, t.listener)
		}
	})
	if d.cfg.lameDuck > 0 || len(open) == 0 {
		d.ctl.Drain()
		return
	}
	closed := newLatch()
	go closed.open(func() {
		d.ctl.DrainAndClose(func() {
			for _, l := range open {
				if !l.closing.Swap(true) {
					_ = l.closeInner()
				}
			}
		})
	})
	closed.opensWithin(lastWait)
}

func (d *drain) hookHasReturned() bool { return d.onDrain == nil || d.onDrain.isOpen() }

func (d *drain) closeListeners() {
	d.ctl.ListenerClosed()
	d.ctl.Drain() // a Resume during the lame duck did not call the drain off
	d.tracker.each(d, func(t *tally) {
		if t.listener != nil {
			t.listener.beginClose()
		}
	})
}

func (d *drain) listenersHaveEnded() bool {
	all := true
	d.tracker.each(d, func(t *tally) {
		all = all && (t.listener == nil || t.listener.ended.isOpen())
	})
	return all
}

// awaitSockets waits until what the drain closes is closed, so that the address is
// free for whoever listens next: Accept, which said that there is nothing more, may
// return a moment before Close does.
func awaitSockets(tallies []*tally) {
	end := time.Now().Add(lastWait)
	for _, t := range tallies {
		if l := t.listener; l != nil && l.closing.Load() {
			l.shut.opensWithin(time.Until(end))
		}
	}
}

// lastWait is how long a drain that has come to its end waits for user code.
const lastWait = time.Second

// shutDown is the end of the server, where this is its last drain. It lets the
// program's own Serve return.
func (d *drain) shutDown() {
	defer awaitSockets(d.tallies())
	defer d.tracker.release(d)
	if !d.last || d.byOthers && !d.isForced() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cutting := d.verdict != nil
	if cutting {
		cancel()
	}
	whole := false
	down := newLatch()
	go func() {
		// This waits for the accept loops, in which there may be user code.
		down.open(func() { whole = d.tracker.shutDownServer(ctx, d.srv) })
		d.notify()
	}()
	d.wait(down.isOpen)
	cancel()
	if down.opensWithin(lastWait) && !whole && !cutting {
		d.err = joined(d.err, d.verdict) // for connections without a record
	}
}
