package facade

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// everything notes which method was called last.
type everything struct {
	*httptest.ResponseRecorder
	called string
}

func (e *everything) Unwrap() http.ResponseWriter { return e.ResponseRecorder }
func (e *everything) Flush()                      { e.called = "Flush" }
func (e *everything) FlushError() error           { e.called = "FlushError"; return nil }
func (e *everything) CloseNotify() <-chan bool    { e.called = "CloseNotify"; return nil }
func (e *everything) WriteString(string) (int, error) {
	e.called = "WriteString"
	return 0, nil
}
func (e *everything) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	e.called = "Hijack"
	return nil, nil, nil
}
func (e *everything) ReadFrom(io.Reader) (int64, error) { e.called = "ReadFrom"; return 0, nil }
func (e *everything) Push(string, *http.PushOptions) error {
	e.called = "Push"
	return nil
}
func (e *everything) SetReadDeadline(time.Time) error  { e.called = "SetReadDeadline"; return nil }
func (e *everything) SetWriteDeadline(time.Time) error { e.called = "SetWriteDeadline"; return nil }
func (e *everything) EnableFullDuplex() error          { e.called = "EnableFullDuplex"; return nil }

// calls has a call of each method, which reports false where w does not have it.
var calls = []struct {
	in   set
	name string
	call func(w http.ResponseWriter) bool
}{
	{flusher, "Flush", called(func(w http.Flusher) { w.Flush() })},
	{flushError, "FlushError", called(func(w interface{ FlushError() error }) { _ = w.FlushError() })},
	{stringWriter, "WriteString", called(func(w io.StringWriter) { _, _ = w.WriteString("") })},
	{closeNotifier, "CloseNotify", called(func(w interface{ CloseNotify() <-chan bool }) { w.CloseNotify() })},
	{hijacker, "Hijack", called(func(w http.Hijacker) { _, _, _ = w.Hijack() })},
	{readerFrom, "ReadFrom", called(func(w io.ReaderFrom) { _, _ = w.ReadFrom(nil) })},
	{pusher, "Push", called(func(w http.Pusher) { _ = w.Push("", nil) })},
	{controlled, "SetReadDeadline", called(func(w interface{ SetReadDeadline(time.Time) error }) { _ = w.SetReadDeadline(time.Time{}) })},
	{controlled, "SetWriteDeadline", called(func(w interface{ SetWriteDeadline(time.Time) error }) { _ = w.SetWriteDeadline(time.Time{}) })},
	{controlled, "EnableFullDuplex", called(func(w interface{ EnableFullDuplex() error }) { _ = w.EnableFullDuplex() })},
}

func called[T any](call func(T)) func(http.ResponseWriter) bool {
	return func(w http.ResponseWriter) bool {
		t, ok := w.(T)
		if ok {
			call(t)
		}
		return ok
	}
}

func TestEachSetHasExactlyItsInterfaces(t *testing.T) {
	count := 0
	for s := range sets {
		count++
		e := &everything{ResponseRecorder: httptest.NewRecorder()}
		like := Like(newWith(s, with0{e}), e)
		for _, c := range calls {
			e.called = ""
			if got, want := c.call(like), s&c.in != 0; got != want {
				t.Errorf("%b: %s is %v, want %v", s, c.name, got, want)
			} else if want && e.called != c.name {
				t.Errorf("%b: %s calls %q", s, c.name, e.called)
			}
		}
		if u, ok := like.(interface{ Unwrap() http.ResponseWriter }); !ok || u.Unwrap() != http.ResponseWriter(e.ResponseRecorder) {
			t.Errorf("%b: Unwrap does not lead to it", s)
		}
		like.WriteHeader(202)
		if _, err := like.Write(nil); err != nil || e.Code != 202 || like.Header() == nil {
			t.Errorf("%b: a response does not come through", s)
		}
	}
	if count != 136 {
		t.Errorf("%d sets", count)
	}
}

type onlyReadDeadline struct{ http.ResponseWriter }

func (onlyReadDeadline) SetReadDeadline(time.Time) error { return nil }

func TestControlsOfItsOwnAreFoundByUnwrap(t *testing.T) {
	below := onlyReadDeadline{httptest.NewRecorder()}
	w := Like(below, unwraps{new(everything), below})
	if err := http.NewResponseController(w).SetReadDeadline(time.Now()); err != nil {
		t.Error(err)
	}
	if err := http.NewResponseController(w).EnableFullDuplex(); err == nil {
		t.Error("it can do what the one below cannot")
	}
}

type unwraps struct {
	*everything
	below http.ResponseWriter
}

func (u unwraps) Unwrap() http.ResponseWriter { return u.below }
