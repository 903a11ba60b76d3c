// Package facade gives a ResponseWriter exactly the optional interfaces of
// another one.
package facade

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// Writer has every method that a ResponseWriter may have.
type Writer interface {
	http.ResponseWriter
	Unwrap() http.ResponseWriter
	Flush()
	FlushError() error
	WriteString(s string) (int, error)
	CloseNotify() <-chan bool
	Hijack() (net.Conn, *bufio.ReadWriter, error)
	ReadFrom(src io.Reader) (int64, error)
	Push(target string, opts *http.PushOptions) error
	controls
}

// controls is what only [http.ResponseController] asks for.
type controls interface {
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	EnableFullDuplex() error
}

// A set has a bit for each optional interface. For example 0b0010011 is that of a
// writer with Flush, FlushError and Hijack, and its type is with19.
type set int

const (
	flusher set = 1 << iota
	flushError
	stringWriter
	closeNotifier
	hijacker
	readerFrom
	pusher
	controlled

	// What has the controls is nearly always net/http's, or all but net/http's,
	// and has these as well.
	besideControls = flusher | flushError | stringWriter | closeNotifier
)

// Like returns a writer that calls w and has Unwrap and the optional interfaces
// of below. It claims the deadlines and the full duplex only where below has
// all three of them, and Flush, FlushError, WriteString and CloseNotify too;
// otherwise http.ResponseController finds them by Unwrap. It costs one
// allocation.
func Like(below http.ResponseWriter, w Writer) http.ResponseWriter {
	return newWith(setOf(below), with0{w})
}

// Called returns what a writer of Like's calls, nil for any other writer.
func Called(w http.ResponseWriter) Writer {
	if f, ok := w.(interface{ called() Writer }); ok {
		return f.called()
	}
	return nil
}

func setOf(w http.ResponseWriter) (s set) {
	s = bit[http.Flusher](w, flusher) |
		bit[interface{ FlushError() error }](w, flushError) |
		bit[io.StringWriter](w, stringWriter) |
		bit[interface{ CloseNotify() <-chan bool }](w, closeNotifier) |
		bit[http.Hijacker](w, hijacker) |
		bit[io.ReaderFrom](w, readerFrom) |
		bit[http.Pusher](w, pusher)
	if s&besideControls == besideControls {
		s |= bit[controls](w, controlled)
	}
	return s
}

func bit[T any](w http.ResponseWriter, s set) set {
	if _, ok := w.(T); !ok {
		return 0
	}
	return s
}

// with0 is what all the types of types.go are made of. They embed one another by
// value and their methods have pointer receivers: with embedded pointers or
// interfaces a program would have each method twice.
type with0 struct{ w Writer }

func (o *with0) called() Writer              { return o.w }
func (o *with0) Header() http.Header         { return o.w.Header() }
func (o *with0) WriteHeader(status int)      { o.w.WriteHeader(status) }
func (o *with0) Write(p []byte) (int, error) { return o.w.Write(p) }
func (o *with0) Unwrap() http.ResponseWriter { return o.w.Unwrap() }
