package core

import (
	"io"
	"net/http"
	"time"
)

// Writer returns the ResponseWriter to hand on. It commits the exchange before
// the final header can leave: at WriteHeader with a final status, Write,
// WriteString, ReadFrom, Flush, FlushError; at End where there was none of them.
// It has exactly the optional interfaces of w, and Unwrap.
//
// A 1xx goes out without a Connection field, whatever the handler put there (RFC
// 9113 §8.2.2 forbids it on HTTP/2). A hijacked connection is not announced.
//
// It must be called at most once. On a nested exchange it returns w itself. For
// net/http's own writers it does not allocate.
func (e *Exchange) Writer(w http.ResponseWriter) http.ResponseWriter {
	c := e.controller()
	if c == nil || e.owner() != nil {
		return w
	}
	if _, ok := w.(unwrapper); ok {
		if outer := c.exchangeOf(w); outer != nil {
			e.nestIn(c, outer)
			return w
		}
	}
	e.below = w
	if _, ok := w.(http1Shape); ok && !canPush(w) {
		return http1Writer{(*anyWriter)(e)}
	}
	if _, ok := w.(http2Shape); ok && !canHijackOrReadFrom(w) {
		return http2Writer{(*anyWriter)(e)}
	}
	return e.wrapOdd(w)
}

type unwrapper interface{ Unwrap() http.ResponseWriter }

// net/http has writers of two shapes. What each can do is written out here, so
// that wrapping one costs neither an allocation nor an interface too many.
type (
	anyShape interface {
		http.ResponseWriter
		http.Flusher
		FlushError() error
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

// exchangeOf finds the Controller's own writer below w: a nested exchange whose
// request did not tell, because a middleware in between copied its headers on
// HTTP/2.
func (c *Controller) exchangeOf(w http.ResponseWriter) *Exchange {
	for {
		var e *Exchange
		switch t := w.(type) {
		case http1Writer:
			e = (*Exchange)(t.anyWriter)
		case http2Writer:
			e = (*Exchange)(t.anyWriter)
		case unwrapper:
			w = t.Unwrap()
			continue
		default:
			return nil
		}
		if e.controller() == c {
			return e
		}
		w = e.below
	}
}

// nestIn makes an exchange that had begun on its own a nested one.
func (e *Exchange) nestIn(c *Controller, outer *Exchange) {
	c.shard(e.conn).begun.Add(^uint64(0))
	if e.conn != nil {
		if c.rules&hasRequestCount != 0 {
			e.conn.requests.Add(^uint32(0))
		}
		e.conn.end(e)
	} else {
		c.untracked.Add(^uint64(0))
	}
	e.conn, e.more = nil, &more{ctl: c, owner: outer}
	if e.route != nil {
		outer.adopt((*nestedRoute)(e))
	}
	if e.state.Load()&stateSensitive != 0 {
		outer.Sensitive()
	}
}
