package stdlib

import (
	"cmp"
	"slices"
	"time"
)

// emptying is what a drain does to connections to which no response comes.
type emptying struct {
	scanned []*record // by the last scan, for the next one to be made in

	silence <-chan time.Time // the next scan for silent connections

	// With a spread each HTTP/2 connection has a moment of its own.
	moment  <-chan time.Time // the next of them
	pending []pending        // the next one first
	told    int              // so many of pending are
	again   bool             // another scan is to be made at that moment
}

// pending is an HTTP/2 connection that is to be told so long after the drain began.
type pending struct {
	after  time.Duration
	record *record
}

const (
	// scanInterval is the least time between two scans of all connections.
	scanInterval = 50 * time.Millisecond
	// spreadSteps is in how many groups at most a spread tells connections.
	spreadSteps = 100
)

// connections returns the records of the drain.
func (d *drain) connections() []*record {
	e := &d.emptying
	e.scanned = d.tracker.records.appendTo(e.scanned[:0])
	e.scanned = slices.DeleteFunc(e.scanned, func(r *record) bool { return r.tally.drain.Load() != d })
	return e.scanned
}

// tallies returns those that the drain has now.
func (d *drain) tallies() (all []*tally) {
	d.tracker.each(d, func(t *tally) { all = append(all, t) })
	return all
}

// watch begins the idle grace, and tells the HTTP/2 connections.
func (d *drain) watch() {
	d.sayClosed()
	now := d.tracker.now()
	d.tracker.each(d, func(t *tally) { t.watchedSince.CompareAndSwap(0, now) })
	if d.cfg.idleGrace > 0 {
		d.emptying.silence = time.After(d.cfg.idleGrace)
	}
	d.emptying.again = true
	d.announce()
}

// isEmpty reports whether nothing is left to wait for.
func (d *drain) isEmpty() bool {
	left, e := int64(0), &d.emptying
	d.tracker.each(d, func(t *tally) {
		left += t.live.Load()
		if d.byOthers {
			left -= t.hijacked.Load() // net/http's Shutdown does not wait for them either
		}
		if t.newHTTP2.Swap(false) && !e.again {
			e.again, e.moment = true, time.After(scanInterval)
		}
	})
	return left == 0 && (d.own != nil || d.tracker.isLast())
}

// announce tells the HTTP/2 connections whose moment has come.
func (d *drain) announce() {
	e := &d.emptying
	now := time.Since(d.began)
	if e.again {
		e.again, e.told = false, 0
		clear(e.pending)
		e.pending = e.pending[:0]
		for _, r := range d.connections() {
			if r.http2.Load() == nil {
				continue
			}
			announced, _ := r.Announced()
			if wait, draining := r.UntilDrain(); draining && !announced {
				e.pending = append(e.pending, pending{now + wait, r})
			}
		}
		slices.SortFunc(e.pending, func(a, b pending) int { return cmp.Compare(a.after, b.after) })
	}
	for e.told < len(e.pending) && e.pending[e.told].after <= now {
		p := &e.pending[e.told]
		if p.record.gone.Load()&goneBoth != goneBoth {
			p.record.AnnounceDrain()
		}
		p.record = nil
		e.told++
	}
	e.moment = nil
	if e.told < len(e.pending) {
		e.moment = time.After(max(e.pending[e.told].after-now, d.ctl.DrainSpread()/spreadSteps))
	}
}

// closeSilent closes the connections that had no request for the idle grace.
func (d *drain) closeSilent() {
	now, grace := d.tracker.now(), int64(d.cfg.idleGrace)
	next := now + grace
	for _, r := range d.connections() {
		if !r.silent() {
			continue
		}
		due := r.heardLast() + grace
		switch {
		case due > now:
			next = min(next, due)
		case r.http2.Load() != nil:
			r.AnnounceDrain() // nobody has to be closed without a word
		case r.hasUnreadInput():
			r.heard.Store(now) // and net/http has not come to it yet
		case d.cfg.requestTimeout && r.canBeAnswered():
			if r.Retire() {
				d.report.ClosedIdle++
				r.closeWithRequestTimeout()
			}
		default:
			d.report.ClosedIdle++
			r.close()
		}
	}
	d.emptying.silence = time.After(max(time.Duration(next-now), scanInterval))
}

// cutWhatIsLeft ends the drain's connections where there is a verdict.
func (d *drain) cutWhatIsLeft() {
	if d.verdict == nil {
		return
	}
	if d.own == nil {
		d.tracker.hurrying.open(nil)
	}
	if d.byOthers && !d.isForced() {
		return // to whom the connections are left
	}
	left := d.connections()
	for _, r := range left {
		if !r.told() || !r.closing() {
			d.err = d.verdict // not only a socket that waits for its client's end
		}
		switch {
		case r.silent():
			d.report.ClosedIdle++
			r.gone.Or(isClosing)
		case !r.closing() && !r.Idle():
			r.gone.Or(wasForced)
			d.report.addCut(r)
		case !r.closing():
			r.AnnounceDrain() // counts what was told before the drain, and has not gone
		}
		r.cut()
	}
	for _, r := range left {
		// The handlers' goroutines may take their time; the report does not.
		r.leave(goneBoth)
	}
}
