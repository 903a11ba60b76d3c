package core

import (
	"io"
	"net/http"
	"time"

	"github.com/politeclose/politeclose/core/internal/facade"
)

// Writer returns the ResponseWriter to hand on. It commits the exchange before
// the final header can leave: at WriteHeader with a final status, Write,
// WriteString, ReadFrom, Flush, FlushError; at End where there was none of
// them. It has exactly the optional interfaces of w, and Unwrap.
//
// The announcement is in w's header map only while net/http's own writer takes
// its copy; then the map has again what the handler had put there. A 1xx goes
// out without a Connection field, whatever the handler put there (RFC 9113
// §8.2.2 forbids it on HTTP/2). A hijacked connection is not announced.
//
// It must be called at most once. Where the exchange is part of another one,
// the writer only asks for the route before that one commits. For net/http's
// own writers it does not allocate.
func (e *Exchange) Writer(w http.ResponseWriter) http.ResponseWriter {
	e.joinBelow(w)
	switch e.kind {
	case noKind:
		return w
	case partKind:
		return e.partWriter(w)
	}
	return e.wrap(w)
}

// joinBelow makes the exchange part of the one that w writes to, if there is one:
// its request's context did not tell.
func (e *Exchange) joinBelow(w http.ResponseWriter) {
	if !e.Decides() || !isWrapped(w) {
		return
	}
	if owner := e.controller().exchangeBelow(w); owner != nil {
		e.joins(owner)
	}
}

// wrap returns a writer around w that calls e first.
func (e *Exchange) wrap(w http.ResponseWriter) http.ResponseWriter {
	return e.wrapAs(shapeOf(w), w)
}

func (e *Exchange) wrapAs(s shape, w http.ResponseWriter) http.ResponseWriter {
	e.below = w
	switch s {
	case http1Shaped:
		e.place = max(e.place, aboveOwn)
		return http1Writer{(*serverWriter)(e)}
	case http2Shaped:
		e.place = max(e.place, aboveOwn)
		return http2Writer{(*serverWriter)(e)}
	}
	return e.wrapOdd(w)
}

// partWriter returns the writer of a part: one that reports the route on the
// goroutine that has it, just before the owner's commit point. Where no rule
// looks at routes it is w itself.
func (e *Exchange) partWriter(w http.ResponseWriter) http.ResponseWriter {
	if e.rare.ctl.rules&needsRoute == 0 {
		return w
	}
	e.lookWhere(w)
	return e.wrap(w)
}

// lookWhere looks whether what a part writes to w is its owner's response.
func (e *Exchange) lookWhere(w http.ResponseWriter) {
	if e.rare.ctl.exchangeBelow(w) == e.rare.owner {
		e.rare.joined = true
	} else {
		e.state.Or(stateElsewhere)
	}
}

// ReportRoute asks the route now instead of at the first write: for a router
// that has found it before it calls its middleware, and whose writer w is not
// one of [Exchange.Writer]. It does nothing where the exchange decides itself,
// which is asked at its commit point; that it does not may first be known by w.
func (e *Exchange) ReportRoute(w http.ResponseWriter) {
	e.joinBelow(w)
	if e.kind == partKind {
		e.lookWhere(w)
		e.report()
	}
}

type unwrapper interface{ Unwrap() http.ResponseWriter }

// net/http has writers of two shapes. What each can do is written out here, so
// that wrapping one costs neither an allocation nor an interface too many.
type (
	errorFlusher interface{ FlushError() error }
	anyShape     interface {
		http.ResponseWriter
		http.Flusher
		errorFlusher
		http.CloseNotifier //nolint:staticcheck // old handlers still look for it
		io.StringWriter
		SetReadDeadline(time.Time) error
		SetWriteDeadline(time.Time) error
		EnableFullDuplex() error
	}
	http1Shape interface {
		anyShape
		http.Hijacker
		io.ReaderFrom
	}
	http2Shape interface {
		anyShape
		http.Pusher
	}
)

type shape uint8

const (
	oddShaped shape = iota
	http1Shaped
	http2Shaped
)

func shapeOf(w http.ResponseWriter) shape {
	switch w.(type) {
	case http1Writer:
		return http1Shaped
	case http2Writer:
		return http2Shaped
	}
	if _, ok := w.(http1Shape); ok && !canPush(w) {
		return http1Shaped
	}
	if _, ok := w.(http2Shape); ok && !canHijackOrReadFrom(w) {
		return http2Shaped
	}
	return oddShaped
}

func isWrapped(w http.ResponseWriter) bool {
	_, ok := w.(unwrapper)
	return ok
}

func canPush(w http.ResponseWriter) bool {
	_, ok := w.(http.Pusher)
	return ok
}

func canHijackOrReadFrom(w http.ResponseWriter) bool {
	if _, ok := w.(http.Hijacker); ok {
		return true
	}
	_, ok := w.(io.ReaderFrom)
	return ok
}

// exchangeBelow finds the exchange of the Controller that decides about what is
// written to w, nil where there is none.
func (c *Controller) exchangeBelow(w http.ResponseWriter) *Exchange {
	for {
		var e *Exchange
		switch t := w.(type) {
		case http1Writer:
			e = (*Exchange)(t.serverWriter)
		case http2Writer:
			e = (*Exchange)(t.serverWriter)
		case oddWriter:
			e = (*Exchange)(t.serverWriter)
		case unwrapper:
			if called := facade.Called(w); called != nil {
				w = called
				continue
			}
			w = t.Unwrap()
			continue
		default:
			return nil
		}
		if e.controller() == c && e.kind != partKind {
			return e
		}
		w = e.below
	}
}

// wrapOdd wraps a writer that is none of net/http's own, such as another
// middleware's, at the price of an allocation.
func (e *Exchange) wrapOdd(w http.ResponseWriter) http.ResponseWriter {
	return facade.Like(w, oddWriter{http1Writer{(*serverWriter)(e)}})
}
