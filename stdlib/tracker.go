package stdlib

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core"
)

// tracker knows the connections of one server.
type tracker struct {
	ctl     *core.Controller
	start   time.Time
	records registry

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
	conn    net.Conn // as net/http knows it
	links
	heard atomic.Int64 // when it was last heard of, while the tracker is watching
	gone  atomic.Uint32

	foreign bool // the connection is not one of Listener's
}

// A record is removed when net/http has let go of the connection and the socket
// is closed, in whichever order that happens.
const (
	goneFromServer = 1 << iota
	goneSocket
	goneBoth = goneFromServer | goneSocket
)

// open returns the record of a new connection, nil for one that could not be
// found again.
func (t *tracker) open(c net.Conn) *record {
	r := &record{tracker: t, conn: c}
	if own := ownConn(c); own != nil && own.ctl == t.ctl {
		own.record = r
	} else if canBeFound(c) {
		r.foreign = true
		r.gone.Store(goneSocket)
	} else {
		return nil
	}
	r.Open(t.ctl)
	t.records.add(r)
	t.live.Add(1)
	return r
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

func (t *tracker) setState(c net.Conn, state http.ConnState, user func()) {
	r := t.find(c)
	if r == nil {
		user()
		return
	}
	mustClose := r.SetState(state)
	user()
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
	if old := r.gone.Or(gone); old == goneBoth || old|gone != goneBoth {
		return
	}
	t := r.tracker
	hijacked := r.Hijacked()
	r.SetState(http.StateClosed)
	if _, inDrain := r.Announced(); inDrain {
		t.announced.Add(1)
	}
	t.served.Add(int64(r.Served()))
	t.records.remove(r)
	t.live.Add(-1)
	if hijacked {
		t.hijacked.Add(-1)
	}
	t.notify()
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

// closing reports whether the server has closed the connection and its socket
// lingers.
func (r *record) closing() bool {
	own := ownConn(r.conn)
	return own != nil && own.closed.Load()
}

// cut closes the socket, whatever is under way on it. TLS would want to say
// goodbye, which waits up to 5 s for a client that does not read.
func (r *record) cut() {
	own := ownConn(r.conn)
	if own == nil {
		r.conn.Close()
		return
	}
	own.closed.Store(true)
	own.TCPConn.Close()
	r.leave(goneSocket)
}
