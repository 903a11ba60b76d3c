package stdlib

import (
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"sync/atomic"
	"time"
	"weak"

	"github.com/politeclose/politeclose/stdlib/internal/goaway"
)

// What a program can do to the hooks so that a part of the tracking cannot work.
const (
	baseContextReplaced = "http.Server.BaseContext was replaced after stdlib.Track, or Track was called after the server had begun to serve: " +
		"hooks that were replaced as well stay so, a close may destroy the last response, and stdlib.Shutdown cannot close the listener first; " +
		"set it before Track and serve after it, or wrap the listener with stdlib.Listener"
	connContextReplaced = "http.Server.ConnContext was replaced after stdlib.Track, and BaseContext with it: connections have no record; " +
		"set them before Track"
	connStateReplaced = "http.Server.ConnState was replaced after stdlib.Track, and BaseContext with it: no connection counts as active; " +
		"set them before Track"
)

// plainShutdown is what a program does that calls Track and forgets the other half.
const plainShutdown = "http.Server.Shutdown was called for a server that stdlib.Track knows: it closes connections without a word, " +
	"and loses the requests on them; call stdlib.Shutdown in its place"

// A hook of ours in a field of http.Server calls the one that it found there. What
// is assigned later gets another one of ours in front of it, and may itself call the
// first: only the latest in a field does anything else.
type (
	baseContextHook struct {
		hook
		server *http.Server
		next   func(net.Listener) context.Context
	}
	connContextHook struct {
		hook
		server *http.Server
		next   func(context.Context, net.Conn) context.Context
	}
	connStateHook struct {
		hook
		next func(net.Conn, http.ConnState)
	}
)

type hook struct {
	tracker  *tracker
	replaced atomic.Bool // by a later one in the same field
}

func (h *hook) isLatest() bool { return !h.replaced.Load() }

// The fields of http.Server in which a tracker has hooks.
const (
	baseContextField = iota
	connContextField
	connStateField
	hookFields
)

// succeed makes h the latest hook in a field. The caller holds t.hooking.
func (t *tracker) succeed(field int, h *hook) {
	h.tracker = t
	if before := t.hooks[field].Value(); before != nil {
		before.replaced.Store(true)
	}
	t.hooks[field] = weak.Make(h)
}

// attach puts our entry and our hooks in front of srv's where they are not. No
// connection of srv's may be open then, unless all are in their place.
func (t *tracker) attach(srv *http.Server) {
	t.enter(srv)
	t.hooking.Lock()
	defer t.hooking.Unlock()
	t.disown(srv)
	if !same(srv.BaseContext, (*baseContextHook)(nil).call) {
		h := &baseContextHook{server: srv, next: srv.BaseContext}
		t.succeed(baseContextField, &h.hook)
		srv.BaseContext = h.call
	}
	if !same(srv.ConnContext, (*connContextHook)(nil).call) {
		h := &connContextHook{server: srv, next: srv.ConnContext}
		t.succeed(connContextField, &h.hook)
		srv.ConnContext = h.call
	}
	if !same(srv.ConnState, (*connStateHook)(nil).call) {
		h := &connStateHook{next: srv.ConnState}
		t.succeed(connStateField, &h.hook)
		srv.ConnState = h.call
	}
}

// same reports whether two functions have the same code, as the values of one
// method have.
func same(f, g any) bool { return reflect.ValueOf(f).Pointer() == reflect.ValueOf(g).Pointer() }

// call is called by net/http with each listener before it accepts. It
// serves the listener itself, as one of ours:
//
//  1. Serve(l) calls BaseContext(l), with a listener that is not ours.
//  2. That calls Serve(ours), which calls BaseContext(ours), which returns: Serve
//     accepts from ours, until the server's end or an error of Accept.
//  3. BaseContext(l) returns. The first Serve finds l closed, or broken in the same
//     way, and returns what the second one has returned. Where the error does not
//     come again l is closed, and that is what it returns.
func (h *baseContextHook) call(l net.Listener) context.Context {
	if h.answers(l) {
		return nil
	}
	ours := ownListener(l)
	if ours != nil && ours.base != nil {
		if h == ours.by || h.next == nil {
			return ours.base
		}
		return h.next(l) // which calls the one that has made it
	}
	ctx := context.Background()
	if h.next != nil {
		ctx = h.next(given(l))
	}
	if ctx == nil || !h.isLatest() {
		return ctx // net/http panics and names BaseContext where it is nil
	}
	t := h.tracker
	t.attach(h.server)
	if ours != nil {
		t.adopt(ours)
		return &listenerContext{ctx, ours}
	}
	served, ours := listenWith(l, t.ctl)
	ours.nested = true
	ours.base, ours.by = &listenerContext{ctx, ours}, h
	t.adopt(ours)
	err := h.server.Serve(served)
	t.served(ours, err)
	if !errors.Is(err, http.ErrServerClosed) && !failsAgain(ours.Listener) {
		t.ctl.Logger().Warn("politeclose: http.Server.Serve closes its listener, because Accept has failed", "error", err)
		_ = ours.closeInner()
	}
	return ctx
}

// failsAgain reports whether a listener that has failed goes on failing, as one that
// is closed does. With any other the first Serve would go on, past us.
func failsAgain(l net.Listener) bool {
	failed := make(chan bool, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close() // nobody serves it
		}
		failed <- err != nil && !isTemporary(err)
	}()
	select {
	case again := <-failed:
		return again
	case <-time.After(failingAgain):
		return false
	}
}

// failingAgain is longer than a call takes that does not wait.
const failingAgain = 100 * time.Millisecond

// given returns the listener that the program knows.
func given(l net.Listener) net.Listener {
	if ours, ok := l.(*listener); ok {
		return ours.Listener
	}
	return l
}

// served notes what http.Server.Serve has returned for a listener of ours.
func (t *tracker) served(l *listener, err error) {
	if errors.Is(err, http.ErrServerClosed) && !t.shutDown.Load() {
		t.shutDownByOthers.Store(true)
	}
	l.end(err)
	l.tally.over.Store(true)
	if l.tally.live.Load() == 0 {
		t.forget(&l.tally)
	}
}

func (h *connContextHook) call(ctx context.Context, c net.Conn) context.Context {
	if h.answers(c) {
		return nil
	}
	in := ctx
	if h.next != nil {
		if ctx = h.next(ctx, c); ctx == nil {
			return nil // net/http panics and names ConnContext
		}
	}
	if h.isLatest() && h.isOf(in) {
		if r := h.tracker.open(in, c); r != nil {
			ctx = r.Context(ctx)
		}
	}
	return ctx
}

// isOf reports whether a connection, by its context, may be one of the hook's server.
// The hook of another server may call this one.
func (h *connContextHook) isOf(ctx context.Context) bool {
	srv, known := ctx.Value(http.ServerContextKey).(*http.Server)
	return !known || srv == h.server
}

func (h *connStateHook) call(c net.Conn, state http.ConnState) {
	if own, ok := c.(*conn); ok && own.record != nil && h.isLatest() {
		// The rest is for connections of other types. Of these the hook is called
		// twice for each request.
		h.tracker.setState(c, h.tracker.ours(own.record), state, h.next)
		return
	}
	if h.answers(c) {
		return
	}
	c, call := goaway.Known(c, state)
	if !call {
		return
	}
	if h.isLatest() {
		h.tracker.setState(c, h.tracker.find(c), state, h.next)
	} else if h.next != nil {
		h.next(c, state)
	}
}

// listenerContext is the base context of a listener's connections: a connection
// that is not ours is found to be the listener's by it.
type listenerContext struct {
	context.Context
	listener *listener
}

type listenerKey struct{}

func (c *listenerContext) Value(key any) any {
	if key == (listenerKey{}) {
		return c.listener
	}
	return c.Context.Value(key)
}
