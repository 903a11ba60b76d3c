package stdlib

import (
	"context"
	"errors"
	"net/http"
)

// errDrained is the error of a server that a drain has used up.
var errDrained = errors.New("a drain has used the server up; make a new one")

// join counts d among the drains that the server's end waits for.
func (t *tracker) join(d *drain) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.finished {
		return errDrained
	}
	t.drains[d] = struct{}{}
	return nil
}

// quit is for a drain that never comes to serve.
func (t *tracker) quit(d *drain) {
	t.mu.Lock()
	delete(t.drains, d)
	t.mu.Unlock()
	t.release(d)
}

// each calls do for the tallies of d, under a lock.
func (t *tracker) each(d *drain, do func(*tally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tally := range t.tallies {
		if tally.drain.Load() == d {
			do(tally)
		}
	}
}

// leave takes d from the drains. Where it is the last one it gets what none has had,
// and is to come back when that has ended. If there is nothing it ends the server.
func (t *tracker) leave(d *drain) (more, last bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.drains) == 1 {
		if t.takeRestLocked(d) {
			return true, true
		}
		t.finished, last = true, true
	}
	delete(t.drains, d)
	for other := range t.drains {
		other.notify()
	}
	return false, last
}

// takeRestLocked gives d what no drain has, and reports whether that was anything.
func (t *tracker) takeRestLocked(d *drain) (taken bool) {
	for tally := range t.tallies {
		if tally.drain.CompareAndSwap(nil, d) {
			accepts := tally.listener != nil && !tally.over.Load()
			taken = taken || accepts || tally.live.Load() > 0
		}
	}
	return taken
}

// isLast reports whether there is one drain only.
func (t *tracker) isLast() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.drains) == 1
}

// notifyDrains reports whether the server has a drain, or had one.
func (t *tracker) notifyDrains() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := range t.drains {
		d.notify()
	}
	return len(t.drains) > 0 || t.finished
}

// release lets the listeners of d go, whose drain is over.
func (t *tracker) release(d *drain) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for tally := range t.tallies {
		if !tally.drain.CompareAndSwap(d, nil) {
			continue
		}
		if tally.listener != nil {
			tally.listener.released.open(nil)
			delete(t.tallies, tally)
		}
	}
}

// forget drops a listener that has no connections and accepts none, unless a drain
// has yet to count it.
func (t *tracker) forget(tally *tally) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tally.listener != nil && tally.drain.Load() == nil {
		delete(t.tallies, tally)
	}
}

// shutDownServer is http.Server.Shutdown, unless somebody has called it, so that
// RegisterOnShutdown functions run once. What is open when ctx is done is cut, and
// false returned.
func (t *tracker) shutDownServer(ctx context.Context, srv *http.Server) (whole bool) {
	if t.shutDownByOthers.Load() {
		whole = ctx.Err() == nil
	} else {
		t.shutDown.Store(true)
		err := srv.Shutdown(ctx) // which has the errors of the listeners as well
		whole = err == nil || err != ctx.Err()
	}
	if !whole {
		_ = srv.Close()
	}
	return whole
}

// beginWhole returns the drain of a Shutdown of the whole server, and whether this
// one began it: calls at once have one, and so have later ones. It asks every Serve
// to begin its own. Nil says that there is nothing left to drain.
func (t *tracker) beginWhole(newWhole func() *drain) (d *drain, began bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.whole != nil || t.finished {
		return t.whole, false
	}
	t.whole = newWhole()
	for other := range t.drains {
		other.start()
	}
	t.drains[t.whole] = struct{}{}
	t.takeRestLocked(t.whole)
	t.ending.open(nil)
	return t.whole, true
}
