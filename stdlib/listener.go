package stdlib

import (
	"context"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib/internal/goaway"
	"github.com/politeclose/politeclose/stdlib/internal/quiesce"
)

// Listener returns inner with connections that end without destroying the last
// response: once the end of such a connection has been announced, its Close sends
// the FIN and goes on reading, in the background, until the client has closed too
// (RFC 9112 §9.6). [Serve] uses it by itself, and a server that was given to
// [Track] does so when it begins to serve; where something else keeps a server
// from that, wrap the listener by hand. It belongs below TLS, and that is where it
// goes where inner is one of [crypto/tls.NewListener].
//
// The connections embed *net.TCPConn. They clear a deadline only if one was set
// through them, because net/http clears several for each request. Connections of
// any other type pass through as they are, and so does everything where an argument
// is nil. However often the result is closed, inner is closed once.
func Listener(inner net.Listener, ctl *core.Controller) net.Listener {
	if inner == nil || ctl == nil {
		return inner
	}
	l, _ := listenWith(inner, ctl)
	return l
}

// listenWith returns a listener to serve on, and the one of ours that it is or
// that it has below TLS.
func listenWith(inner net.Listener, ctl *core.Controller) (net.Listener, *listener) {
	if ours := ownListener(inner); ours != nil && ours.ctl == ctl {
		return inner, ours
	}
	if below, again := belowTLSListener(inner); below != nil {
		ours := newListener(below, ctl)
		return again(ours), ours
	}
	ours := newListener(inner, ctl)
	return ours, ours
}

// ownListener returns the listener of ours that l is or has below TLS, nil if
// there is none.
func ownListener(l net.Listener) *listener {
	if below, _ := belowTLSListener(l); below != nil {
		l = below
	}
	ours, _ := l.(*listener)
	return ours
}

// belowTLSListener returns what a listener of crypto/tls listens with, and a
// function that makes the same listener over another one. Nil for any other
// listener.
//
// The type has no name outside crypto/tls, but the listener that it embeds has
// one. A copy is made because somebody may be closing the original.
func belowTLSListener(l net.Listener) (below net.Listener, again func(net.Listener) net.Listener) {
	original := reflect.ValueOf(l)
	if !goaway.IsTLSListener(l) || original.IsNil() {
		return nil, nil
	}
	field := original.Elem().FieldByName("Listener")
	if !field.IsValid() || !field.CanInterface() {
		return nil, nil
	}
	below, _ = reflect.TypeAssert[net.Listener](field)
	return below, func(other net.Listener) net.Listener {
		twin := reflect.New(original.Type().Elem())
		twin.Elem().Set(original.Elem())
		twin.Elem().FieldByName("Listener").Set(reflect.ValueOf(other))
		return twin.Interface().(net.Listener)
	}
}

// listener makes conns of what it accepts, counts them, and has its end in steps,
// so that a drain can close it before net/http is told of a shutdown:
//
//  1. beginClose empties what is listened on, where that can be, and closes it.
//     Accept still returns what that gives.
//  2. When it gives nothing more, ended opens. Accept does not return: with it
//     http.Server.Serve would, and with that a program whose last line it is.
//  3. Accept returns when released opens: by net/http's Close, which is its
//     Shutdown's, or at the end of the drain.
type listener struct {
	net.Listener
	ctl   *core.Controller
	tally tally

	base    context.Context  // of the connections, where hooks serves the listener
	by      *baseContextHook // that does
	nested  bool             // and then net/http closes what is listened on as well
	closed  atomic.Bool      // what is listened on, or about to be
	shut    *latch           // opens when it is
	closing atomic.Bool      // by beginClose

	loss     atomic.Pointer[error] // why somebody may have been lost by beginClose
	ended    *latch
	err      error // why it ended, once it has; nil where beginClose is why
	released *latch
}

func newListener(inner net.Listener, ctl *core.Controller) *listener {
	l := &listener{Listener: inner, ctl: ctl, shut: newLatch(), ended: newLatch(), released: newLatch()}
	l.tally.listener = l
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
			return l.accepted(c), nil
		case !isTemporary(err), l.shut.isOpen(): // what is closed has no passing trouble
			l.hold(err)
			return nil, err
		case !l.closing.Load():
			return nil, err // net/http says so, waits for up to a second and tries again
		case l.released.opensWithin(acceptRetry):
			return nil, err
		}
	}
}

func (l *listener) accepted(c net.Conn) net.Conn {
	if l.closing.Load() {
		l.tally.late.Add(1)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{TCPConn: tcp, listener: l}
	}
	return c
}

// acceptRetry is how long a closing listener waits after an error such as too many
// open files.
const acceptRetry = 5 * time.Millisecond

// isTemporary is what net/http goes by, to which a temporary error that is wrapped
// in another one is the end.
func isTemporary(err error) bool {
	ne, ok := err.(net.Error)   //nolint:errorlint // net/http does not unwrap it
	return ok && ne.Temporary() //nolint:staticcheck // SA1019: net/http asks the same
}

// hold keeps Accept from returning its last error before the drain is over. Where
// there is nothing to wait for, the Serve that accepts ends with it: one of ours
// tells the tracker so itself.
func (l *listener) hold(err error) {
	d := l.tally.drain.Load()
	if d != nil && !l.released.isOpen() {
		l.end(err)
		<-l.released.opened
		return
	}
	byUs := l.nested || d != nil && d.own == l
	if t := l.tally.tracker.Load(); t != nil && !byUs {
		t.served(l, err)
	}
}

// end says that nothing more is accepted, and why. The first call counts.
func (l *listener) end(err error) {
	if l.closing.Load() && err != http.ErrServerClosed {
		err = nil
	}
	l.ended.open(func() { l.err = err })
	if d := l.tally.drain.Load(); d != nil {
		d.start()
		d.notify()
	}
}

// beginClose begins the end. It does not wait for the Close of what is listened
// on, which may be the user's.
func (l *listener) beginClose() {
	if !l.closing.Swap(true) {
		go l.emptyAndClose()
	}
}

// empties reports whether what is listened on can be emptied before it is closed.
func (l *listener) empties() bool {
	_, ok := l.Listener.(*quiesce.Listener)
	return ok
}

func (l *listener) emptyAndClose() {
	// Where Accept has failed nobody is left to empty it.
	if socket, ok := l.Listener.(*quiesce.Listener); ok && !l.ended.isOpen() {
		loss := socket.Empty(l.released.opened)
		if loss != nil && !l.released.isOpen() {
			l.loss.Store(&loss)
		}
	}
	_ = l.closeInner() // Accept says when it is closed
}

func (l *listener) closeInner() error {
	if l.closed.Swap(true) {
		return net.ErrClosed
	}
	defer l.shut.open(nil)
	return l.Listener.Close()
}

// Close is called by net/http, at its Shutdown and when its Serve returns, and by
// the user. What a drain has closed is no error.
func (l *listener) Close() error {
	l.released.open(nil)
	if l.nested || l.closing.Load() {
		return nil
	}
	return l.closeInner()
}
