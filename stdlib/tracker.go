package stdlib

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib/internal/goaway"
)

// tracker knows the connections of one server, and the drains that end it.
type tracker struct {
	ctl       *core.Controller
	start     time.Time
	records   registry
	lingering lingering

	installed  sync.Once
	installErr error         // of installed
	given      programsHooks // what disown puts back
	hooked     bool          // the program has hooks of its own
	attached   sync.Once     // by the first Serve, once more
	hooking    sync.Mutex    // while the server's hooks are being set
	// The latest in each field: weak, because a hook refers to the server, and the
	// tracker must not keep that alive.
	hooks [hookFields]weak.Pointer[hook]

	entering         sync.Mutex // the fields up to the next blank line
	entry            *core.Entry
	answersOptions   bool // the server was to answer OPTIONS * by itself
	advertised       bool
	keepAliveSeconds int
	keepAlive        string // the field's value

	shutDown         atomic.Bool // by a drain of ours
	shutDownByOthers atomic.Bool

	mu       sync.Mutex          // the fields below
	tallies  map[*tally]struct{} // of listeners that accept or have connections
	drains   map[*drain]struct{} // that have not come to their end
	whole    *drain              // the last Shutdown of the server
	finished bool                // the last of drains has come to its end

	ending   *latch // a Shutdown of the whole server asks every Serve for its end
	hurrying *latch // and has come to its own

	others tally // connections that came past any listener of ours
}

func newTracker(ctl *core.Controller) *tracker {
	t := &tracker{
		ctl: ctl, start: time.Now(), drains: make(map[*drain]struct{}),
		ending: newLatch(), hurrying: newLatch(),
	}
	t.others.tracker.Store(t)
	t.tallies = map[*tally]struct{}{&t.others: {}}
	return t
}

// now is never 0.
func (t *tracker) now() int64 { return int64(time.Since(t.start)) + 1 }

// record is what the package knows of one connection.
type record struct {
	tally *tally // first, beside what each request asks of the Connection
	core.Connection
	links
	http2 atomic.Pointer[goaway.Conn] // nil on HTTP/1
	heard atomic.Int64                // when it was last heard of, while the tally is watching
	gone  atomic.Uint32

	foreign bool  // the connection is not one of Listener's
	list    uint8 // which of the registry's has it; it stands here so as to fill a gap
}

func (r *record) tracker() *tracker { return r.tally.tracker.Load() }

// A record is removed when net/http has let go of the connection and the socket
// is closed, in whichever order that happens. What it did is counted before.
const (
	goneFromServer = 1 << iota
	goneSocket
	wasCounted
	isClosing // the drain has begun to close it
	wasForced // the drain cuts it, with something under way
	wasNew    // the ConnState hook was called for it
	goneBoth  = goneFromServer | goneSocket
)

// open returns the record of a new connection, nil for one that could not be
// found again, and for one that has a record since a handler hijacked it. The
// context is the one that net/http gives to its ConnContext.
func (t *tracker) open(ctx context.Context, c net.Conn) *record {
	r := &record{tally: &t.others}
	own := ownConn(c)
	l, _ := ctx.Value(listenerKey{}).(*listener)
	switch {
	case own != nil && own.record != nil:
		return nil
	case own != nil && own.listener.ctl == t.ctl:
		own.record = r
		if c != net.Conn(own) {
			own.bits.Or(connLayered)
		}
		l = own.listener
	case canBeFound(c):
		r.foreign = true
		r.gone.Store(goneSocket)
	default:
		return nil
	}
	if l != nil && t.adopt(l) {
		r.tally = &l.tally
	} else {
		t.ctl.Impair(baseContextReplaced)
	}
	if last := r.tally.last.Swap(r); last != nil && last.gone.Load()&wasNew == 0 {
		t.ctl.Impair(connStateReplaced) // net/http calls it before it accepts again
	}
	if r.tally.watching() {
		r.heard.Store(t.now())
	}
	r.Open(t.ctl, c)
	t.records.add(r)
	r.tally.live.Add(1)
	return r
}

// adopt counts l among the listeners of the tracker's server, and reports whether
// it is one. A listener is that of the server which accepts first.
func (t *tracker) adopt(l *listener) bool {
	if l.tally.tracker.CompareAndSwap(nil, t) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.tallies[&l.tally] = struct{}{}
		return true
	}
	return l.tally.tracker.Load() == t
}

// connections yields those at this moment.
func (t *tracker) connections(yield func(*core.Connection) bool) {
	for _, r := range t.records.appendTo(nil) {
		if !yield(&r.Connection) {
			return
		}
	}
}

// find returns the record of a connection, nil where there is none.
func (t *tracker) find(c net.Conn) *record {
	if own := ownConn(c); own != nil && own.record != nil {
		return t.ours(own.record)
	}
	for {
		if r := t.records.find(c); r != nil {
			return r
		}
		above, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		c = above.NetConn()
	}
}

// ours returns r unless it is another server's.
func (t *tracker) ours(r *record) *record {
	if r.tracker() != t {
		return nil
	}
	return r
}

// ownConn returns the connection that Listener made below c, such as below TLS.
func ownConn(c net.Conn) *conn {
	for {
		switch t := c.(type) {
		case *conn:
			return t
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return nil
		}
	}
}

// setState calls the user's hook after the record, if there is one, has been told.
func (t *tracker) setState(c net.Conn, r *record, state http.ConnState, user func(net.Conn, http.ConnState)) {
	// A handler that serves HTTP on what it has hijacked reports states, too.
	again := r != nil && r.Hijacked()
	mustClose := r != nil && !again && r.SetState(state)
	if user != nil {
		user(c, state)
	}
	if r == nil {
		if own := ownConn(c); state == http.StateNew && canBeFound(c) && (own == nil || own.record == nil) {
			t.ctl.Impair(connContextReplaced)
		}
		return
	}
	switch state {
	case http.StateNew:
		r.gone.Or(wasNew)
	case http.StateIdle:
		if r.tally.watching() {
			r.heard.Store(t.now())
		}
		if mustClose {
			c.Close()
		}
	case http.StateHijacked:
		if again {
			return
		}
		r.tally.everHijacked.Add(1)
		r.tally.hijacked.Add(1)
		r.leave(goneFromServer)
		r.tally.notify()
	case http.StateClosed:
		r.leave(goneFromServer)
	}
}

// leave notes that one of the two has let go of the connection, and removes the
// record, once, after both have.
func (r *record) leave(gone uint32) {
	if r.gone.Load()&wasNew == 0 {
		gone = goneBoth // nobody will say that net/http has let go
	}
	if old := r.gone.Or(gone); old&goneBoth == goneBoth || (old|gone)&goneBoth != goneBoth {
		return
	}
	r.count()
	t := r.tracker()
	t.records.remove(r)
	if r.Hijacked() {
		r.tally.hijacked.Add(-1)
	}
	// Stats say that it has gone when no drain can find it any more.
	r.Gone(r.ending())
	live := r.tally.live.Add(-1)
	if live == 0 && r.tally.over.Load() {
		t.forget(r.tally)
	}
	// A drain waits for the last one, or for the last that is not hijacked, and
	// need not be woken for each of many.
	if live <= r.tally.hijacked.Load() {
		r.tally.notify()
	}
}

// count adds, once, what the connection did in the drain.
func (r *record) count() {
	if r.gone.Or(wasCounted)&wasCounted != 0 {
		return
	}
	if _, inDrain := r.Announced(); inDrain {
		r.tally.announced.Add(1)
	}
	if c := r.http2.Load(); c != nil && c.Ignored() > 0 && r.InputAfterAnnounce() {
		r.tally.inputAfterAnnounce.Add(1)
	}
	r.tally.served.Add(int64(r.Served()))
}

// hear notes that bytes have come from the client, while the tally is watching.
func (r *record) hear() {
	// HTTP/2 clients ping idle connections; those count by their streams.
	if !r.HTTP2() {
		r.heard.Store(r.tracker().now())
	}
}

// heardLast returns when the connection was heard of, at the earliest when the
// drain began to watch.
func (r *record) heardLast() int64 {
	return max(r.heard.Load(), r.tally.watchedSince.Load())
}

// silent reports whether the connection has no request under way and no
// announcement to end it.
func (r *record) silent() bool {
	announced, _ := r.Announced()
	return r.Idle() && !announced && !r.closing()
}

// closing reports whether the connection is being closed: its socket lingers, or
// TLS says goodbye.
func (r *record) closing() bool {
	own := ownConn(r.Conn())
	return own != nil && own.closed() || r.gone.Load()&isClosing != 0
}

// hasUnreadInput reports whether the client has sent something that net/http has
// not read: its goroutine may not have had its turn since the connection was
// accepted. Where that cannot be known there is nothing.
func (r *record) hasUnreadInput() bool {
	socket, ok := r.Socket().(*net.TCPConn)
	return ok && peek(socket)
}

// close closes the connection in the background: TLS says goodbye, which waits up
// to 5 s for a client that does not read.
func (r *record) close() {
	r.gone.Or(isClosing)
	go r.Conn().Close()
}

// cut closes the socket, whatever is under way on it. What its handler does then
// reaches nobody, and does not count.
func (r *record) cut() {
	r.Cut()
	r.count()
	own := ownConn(r.Conn())
	if own == nil {
		go r.Socket().Close() // of the user's own type
		return
	}
	own.bits.Or(connClosed)
	own.TCPConn.Close()
	r.leave(goneSocket)
}

// onShutdown is for somebody else's srv.Shutdown, which takes no way through the
// drain: net/http announces on HTTP/1, and ends no stream.
func (t *tracker) onShutdown() {
	if t.shutDown.Load() {
		return
	}
	t.shutDownByOthers.Store(true)
	for _, r := range t.records.appendTo(nil) {
		r.AnnounceDrain()
		r.CloseLeaving()
	}
	if !t.notifyDrains() {
		t.ctl.Impair(plainShutdown) // a drain tells of it itself
	}
}
