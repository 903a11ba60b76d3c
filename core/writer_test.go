package core

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// optional lists the interfaces that a ResponseWriter may have beside its own.
var optional = map[string]func(http.ResponseWriter) bool{
	"Flusher":          has[http.Flusher],
	"FlushError":       has[interface{ FlushError() error }],
	"Hijacker":         has[http.Hijacker],
	"ReaderFrom":       has[io.ReaderFrom],
	"StringWriter":     has[io.StringWriter],
	"Pusher":           has[http.Pusher],
	"CloseNotifier":    has[interface{ CloseNotify() <-chan bool }],
	"SetReadDeadline":  has[interface{ SetReadDeadline(time.Time) error }],
	"SetWriteDeadline": has[interface{ SetWriteDeadline(time.Time) error }],
	"EnableFullDuplex": has[interface{ EnableFullDuplex() error }],
}

func has[T any](w http.ResponseWriter) bool {
	_, ok := w.(T)
	return ok
}

type bareWriter struct{ http.ResponseWriter }

type fake2Writer struct {
	anyShape
	http.Pusher
}

type hijackOnly struct{ http.ResponseWriter }

func (hijackOnly) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

type flushErrorOnly struct{ http.ResponseWriter }

func (flushErrorOnly) FlushError() error { return nil }

type everything struct {
	*fakeWriter
	http.Pusher
}

func TestTheWriterHasExactlyTheInterfacesOfTheOneBelow(t *testing.T) {
	for name, below := range map[string]http.ResponseWriter{
		"net/http's for HTTP/1":        newFakeWriter(),
		"net/http's for HTTP/2":        fake2Writer{anyShape: newFakeWriter()},
		"one without any":              bareWriter{newFakeWriter()},
		"one that can only hijack":     hijackOnly{newFakeWriter()},
		"one that only has FlushError": flushErrorOnly{newFakeWriter()},
		"one with everything":          everything{fakeWriter: newFakeWriter()},
	} {
		c := newController(t)
		c.Drain()
		_, e := c.Begin(requestOn(openConnection(c), "/"))
		w := e.Writer(below)
		for iface, ask := range optional {
			if got, want := ask(w), ask(below); got != want {
				t.Errorf("%s: %s is %v, want %v", name, iface, got, want)
			}
		}
		if u, ok := w.(unwrapper); !ok || u.Unwrap() != below {
			t.Errorf("%s: Unwrap does not lead to it", name)
		}
		if http.NewResponseController(w).Flush() == nil && c.Stats().Closes[ReasonDrain] != 1 {
			t.Errorf("%s: a flush through the ResponseController is no commit point", name)
		}
		e.End()
	}
}

func TestTheWriterOfANestedExchangeIsTheOneBelow(t *testing.T) {
	c := newController(t)
	exchange(c, requestOn(openConnection(c), "/"), func(w http.ResponseWriter, r *http.Request) {
		_, e := c.Begin(r)
		if e.Writer(w) != w {
			t.Error("wrapped twice")
		}
		e.End()
	})
}

func TestWritesWriteThrough(t *testing.T) {
	c := newController(t)
	w := exchange(c, requestOn(openConnection(c), "/"), respond(204))
	if w.status != 204 {
		t.Errorf("status %d", w.status)
	}
}

func TestTheTypeOfAWriterTellsItFromEveryOther(t *testing.T) {
	wrapped := struct{ http.ResponseWriter }{httptest.NewRecorder()}
	all := []http.ResponseWriter{httptest.NewRecorder(), wrapped, &wrapped, http1Writer{}, http2Writer{}}
	for i, w := range all {
		for j, other := range all {
			if same := typeOf(w) == typeOf(other); same != (i == j) {
				t.Errorf("%T and %T: the same type is %v", w, other, same)
			}
		}
	}
	if typeOf(httptest.NewRecorder()) != typeOf(all[0]) {
		t.Error("two recorders have not the same type")
	}
}
