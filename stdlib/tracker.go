package stdlib

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib/internal/goaway"
)

// tracker knows the connections of one server.
type tracker struct {
	ctl     *core.Controller
	start   time.Time
	records registry

	installed  sync.Once
	installErr error // of installed

	entering         sync.Mutex // the fields up to the next blank line
	entry            *core.Entry
	answersOptions   bool // the server was to answer OPTIONS * by itself
	advertised       bool
	keepAliveSeconds int
	keepAlive        string // the field's value

	shutDown         atomic.Bool // by a drain of ours
	shutDownByOthers atomic.Bool

	live         atomic.Int64  // connections whose socket is open, hijacked ones included
	hijacked     atomic.Int64  // of these
	changed      chan struct{} // has a token after live or hijacked changed
	watching     atomic.Bool   // the drain wants to know when a connection was last heard of
	watchedSince atomic.Int64

	announced, served, inputAfterAnnounce, everHijacked atomic.Int64
}

func newTracker(ctl *core.Controller) *tracker {
	return &tracker{ctl: ctl, start: time.Now(), changed: make(chan struct{}, 1)}
}

func (t *tracker) now() int64 { return int64(time.Since(t.start)) }

// record is what the package knows of one connection.
type record struct {
	core.Connection
	tracker *tracker
	links
	http2 atomic.Pointer[goaway.Conn] // nil on HTTP/1
	heard atomic.Int64                // when it was last heard of, while the tracker is watching
	gone  atomic.Uint32

	foreign bool  // the connection is not one of Listener's
	list    uint8 // which of the registry's has it; it stands here so as to fill a gap
}

// A record is removed when net/http has let go of the connection and the socket
// is closed, in whichever order that happens. What it did is counted before.
const (
	goneFromServer = 1 << iota
	goneSocket
	wasCounted
	isClosing // the drain has begun to close it
	goneBoth  = goneFromServer | goneSocket
)

// open returns the record of a new connection, nil for one that could not be
// found again.
func (t *tracker) open(c net.Conn) *record {
	r := &record{tracker: t}
	if own := ownConn(c); own != nil && own.ctl == t.ctl {
		own.record = r
	} else if canBeFound(c) {
		r.foreign = true
		r.gone.Store(goneSocket)
	} else {
		return nil
	}
	r.Open(t.ctl, c)
	t.records.add(r)
	t.live.Add(1)
	return r
}

// connections yields those at this moment.
func (t *tracker) connections(yield func(*core.Connection) bool) {
	for _, r := range t.records.all() {
		if !yield(&r.Connection) {
			return
		}
	}
}

// find returns the record of a connection, nil where there is none.
func (t *tracker) find(c net.Conn) *record {
	if own := ownConn(c); own != nil && own.record != nil {
		return own.record
	}
	return t.records.find(c)
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

// setState calls the user's hook after the record has been told.
func (t *tracker) setState(c net.Conn, state http.ConnState, user func(net.Conn, http.ConnState)) {
	r := t.find(c)
	mustClose := r != nil && r.SetState(state)
	if user != nil {
		user(c, state)
	}
	if r == nil {
		return
	}
	switch state {
	case http.StateIdle:
		if t.watching.Load() {
			r.heard.Store(t.now())
		}
		if mustClose {
			c.Close()
		}
	case http.StateHijacked:
		t.everHijacked.Add(1)
		t.hijacked.Add(1)
		r.leave(goneFromServer)
		t.notify()
	case http.StateClosed:
		r.leave(goneFromServer)
	}
}

// leave notes that one of the two has let go of the connection, and removes the
// record, once, after both have.
func (r *record) leave(gone uint32) {
	if old := r.gone.Or(gone); old&goneBoth == goneBoth || (old|gone)&goneBoth != goneBoth {
		return
	}
	t := r.tracker
	hijacked := r.Hijacked()
	r.Gone(r.ending())
	r.count()
	t.records.remove(r)
	if hijacked {
		t.hijacked.Add(-1)
	}
	t.live.Add(-1)
	t.notify()
}

// count adds, once, what the connection did in the drain.
func (r *record) count() {
	if r.gone.Or(wasCounted)&wasCounted != 0 {
		return
	}
	if _, inDrain := r.Announced(); inDrain {
		r.tracker.announced.Add(1)
	}
	if c := r.http2.Load(); c != nil && c.Ignored() > 0 && r.InputAfterAnnounce() {
		r.tracker.inputAfterAnnounce.Add(1)
	}
	r.tracker.served.Add(int64(r.Served()))
}

func (t *tracker) notify() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// hear notes that bytes have come from the client.
func (r *record) hear() {
	// HTTP/2 clients ping idle connections; those count by their streams.
	if r.tracker.watching.Load() && !r.HTTP2() {
		r.heard.Store(r.tracker.now())
	}
}

// watch makes the tracker note when each connection is heard of, from now on.
func (t *tracker) watch() {
	t.watchedSince.Store(t.now())
	t.watching.Store(true)
}

// heardLast returns when the connection was heard of, at the earliest when the
// tracker began to watch.
func (r *record) heardLast() int64 {
	return max(r.heard.Load(), r.tracker.watchedSince.Load())
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

// close closes the connection in the background: TLS says goodbye, which waits up
// to 5 s for a client that does not read.
func (r *record) close() {
	r.gone.Or(isClosing)
	go r.Conn().Close()
}

// cut closes the socket, whatever is under way on it. What its handler does then
// reaches nobody, and does not count.
func (r *record) cut() {
	r.count()
	own := ownConn(r.Conn())
	if own == nil {
		belowTLS(r.Conn()).Close()
		return
	}
	own.bits.Or(connClosed)
	own.TCPConn.Close()
	r.leave(goneSocket)
}

// belowTLS returns the socket of a connection, or what comes nearest to it.
func belowTLS(c net.Conn) net.Conn {
	for {
		t, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = t.NetConn()
	}
}

// onShutdown is for somebody else's srv.Shutdown, which takes no way through the
// drain: net/http announces on HTTP/1, and ends no stream.
func (t *tracker) onShutdown() {
	if t.shutDown.Load() {
		return
	}
	t.shutDownByOthers.Store(true)
	for _, r := range t.records.all() {
		r.AnnounceDrain()
		r.Leave()
	}
}
