package stdlib

import "sync/atomic"

// tally counts the connections of one listener. A drain has the tallies of the
// listeners that it ends: one Serve of a server knows whom it waits for though
// there are others.
type tally struct {
	// What each request reads comes first.
	tracker atomic.Pointer[tracker] // whose server accepts; nil before it does
	// Since when the drain wants to know when a connection was last heard of, by
	// the tracker's clock; 0 = it does not.
	watchedSince atomic.Int64

	listener *listener             // nil for connections that came past all of ours
	drain    atomic.Pointer[drain] // nil until there is one

	live     atomic.Int64 // connections whose socket is open, hijacked ones included
	hijacked atomic.Int64 // of these
	over     atomic.Bool  // nothing more is accepted

	last atomic.Pointer[record] // that was opened

	// For the report of a drain.
	announced, served, inputAfterAnnounce, everHijacked, late atomic.Int64

	newHTTP2 atomic.Bool // a connection has become HTTP/2 since
}

// notify makes the drain look at its tallies again.
func (t *tally) notify() {
	if d := t.drain.Load(); d != nil {
		d.notify()
	}
}

func (t *tally) watching() bool { return t.watchedSince.Load() != 0 }

// beginReport forgets what was before a drain, of which draining says whether it
// has begun already. A Controller's Drain that was taken back has announced as
// well, and is not this one.
func (t *tally) beginReport(draining func() bool) {
	for _, count := range []*atomic.Int64{&t.announced, &t.served, &t.inputAfterAnnounce} {
		// Read first, and then ask: what is counted from here on may be of a drain
		// that another one of the server's begins just now.
		if before := count.Load(); !draining() {
			count.Add(-before)
		}
	}
	t.everHijacked.Store(t.hijacked.Load())
}
