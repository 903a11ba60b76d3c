package core

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/caller"
	"github.com/politeclose/politeclose/core/internal/header"
	"github.com/politeclose/politeclose/core/internal/pattern"
)

// serverWriter is what net/http's two writers have in common. It is the
// Exchange itself, so that it costs no allocation. Its type assertions hold
// because shapeOf, or facade.Like, made them before.
type serverWriter Exchange

func (w *serverWriter) exchange() *Exchange { return (*Exchange)(w) }

func (w *serverWriter) Unwrap() http.ResponseWriter { return w.below }

func (w *serverWriter) Header() http.Header {
	if w.state.Load()&stateTouched == 0 {
		w.state.Or(stateTouched)
	}
	return w.below.Header()
}

func (w *serverWriter) WriteHeader(status int) {
	e := w.exchange()
	switch {
	case e.kind == partKind:
		if final(status) {
			e.report()
		}
		w.below.WriteHeader(status)
	case final(status):
		e.writeHeader(status)
	case !e.tooLate(e.state.Load()):
		header.WithoutConnection(w.Header(), func() { w.below.WriteHeader(status) })
	}
}

// writeHeader is the commit point of a handler that names the status.
func (e *Exchange) writeHeader(status int) {
	before := e.state.Or(stateCommitted)
	if before&stateCommitted != 0 {
		if !e.tooLate(before) {
			e.below.WriteHeader(status)
		}
		return
	}
	o := e.conclude(before, e.touched(before), status)
	e.below.WriteHeader(status)
	if e.place != somewhere {
		o.TakeBack()
	}
	if before&stateEnded != 0 {
		e.tellAtEnd() // a postponed response
	}
}

// tooLate reports whether net/http would do nothing but log a call of WriteHeader,
// and logs it.
func (e *Exchange) tooLate(state uint32) bool {
	if state&stateCommitted == 0 || e.place != atTheEntry || e.kind != ownKind {
		return false
	}
	if state&stateHijacked != 0 {
		e.blame("http: response.WriteHeader on hijacked connection")
	} else {
		e.blame("http: superfluous response.WriteHeader call")
	}
	return true
}

// blame logs in net/http's words what net/http would log, which takes the first
// caller outside its own package for the culprit: that would be our writer for
// every program.
func (e *Exchange) blame(what string) {
	logf := log.Printf
	if srv, ok := e.context.Value(http.ServerContextKey).(*http.Server); ok && srv.ErrorLog != nil {
		logf = srv.ErrorLog.Printf
	}
	culprit := caller.Outside("net/http.", "github.com/politeclose/politeclose/core.")
	logf("%s from %s (%s:%d)", what, culprit.Function, path.Base(culprit.File), culprit.Line)
}

// write is for the n bytes of the body that come next, or for a flush. The
// first one is the commit point of a handler that names no status.
func (w *serverWriter) write(n int) {
	e := w.exchange()
	state := e.state.Load()
	if state&stateCommitted == 0 {
		if e.kind == partKind {
			e.state.Or(stateCommitted)
			e.report()
			return
		}
		e.commitImplicitly()
		state = e.state.Load()
	}
	if untold(state) {
		e.writes(n)
	}
}

// commitImplicitly is the commit point of a handler that names no status.
// net/http writes the header at its next step unless there is something to
// announce, which must not stay in the map for so long.
func (e *Exchange) commitImplicitly() {
	if before := e.state.Or(stateCommitted); before&stateCommitted == 0 {
		e.concludeImplicitly(before)
	}
}

// concludeImplicitly is the rest of commitImplicitly. before is the state that
// this found.
func (e *Exchange) concludeImplicitly(before uint32) {
	o := e.conclude(before, e.touched(before), http.StatusOK)
	if o.Changed() && e.place != somewhere {
		e.below.WriteHeader(http.StatusOK)
		o.TakeBack()
	}
	if before&stateEnded != 0 {
		e.tellAtEnd() // a postponed response
	}
}

// flushing is in the place of a number of bytes: nothing is held back.
const flushing = -1

// over reports whether the handler has returned from the entry. net/http has
// given the response's buffers to another one by then.
func (w *serverWriter) over() bool {
	return w.place == atTheEntry && w.state.Load()&stateEnded != 0
}

// refuses reports whether nothing more of the body can be written.
func (w *serverWriter) refuses() bool {
	return w.place == atTheEntry && w.state.Load()&(stateHijacked|stateEnded) != 0
}

// refusal is what a write of n bytes returns where refuses says so.
func (w *serverWriter) refusal(n int) error {
	if w.state.Load()&stateHijacked == 0 {
		return http.ErrHandlerTimeout
	}
	if n > 0 {
		w.exchange().blame("http: response.Write on hijacked connection")
	}
	return http.ErrHijacked
}

func (w *serverWriter) Write(p []byte) (int, error) {
	if w.refuses() {
		return 0, w.refusal(len(p))
	}
	w.write(len(p))
	return w.below.Write(p)
}

func (w *serverWriter) WriteString(s string) (int, error) {
	if w.refuses() {
		return 0, w.refusal(len(s))
	}
	w.write(len(s))
	return w.below.(io.StringWriter).WriteString(s)
}

func (w *serverWriter) Flush() {
	if w.over() {
		return
	}
	w.write(flushing)
	w.below.(http.Flusher).Flush()
}

func (w *serverWriter) FlushError() error {
	if w.over() {
		return http.ErrHandlerTimeout
	}
	w.write(flushing)
	return w.below.(errorFlusher).FlushError()
}

func (w *serverWriter) CloseNotify() <-chan bool {
	return w.below.(http.CloseNotifier).CloseNotify() //nolint:staticcheck // as in anyShape
}

func (w *serverWriter) SetReadDeadline(t time.Time) error {
	return w.below.(anyShape).SetReadDeadline(t)
}

func (w *serverWriter) SetWriteDeadline(t time.Time) error {
	return w.below.(anyShape).SetWriteDeadline(t)
}

func (w *serverWriter) EnableFullDuplex() error {
	return w.below.(anyShape).EnableFullDuplex()
}

// http1Writer is for net/http's HTTP/1 writer.
type http1Writer struct{ *serverWriter }

// ReadFrom commits when the source has given its first bytes, as net/http does,
// which looks at so much of it before it writes the header (go.dev/issue/5660):
// a source that fails at once, or has nothing, leaves the response to the handler,
// and one that is the request's body may have to ask for a 100 Continue first.
func (w http1Writer) ReadFrom(src io.Reader) (int64, error) { return w.readFrom(src, w) }

// readFrom is ReadFrom whose first bytes go to a writer above, which may have to
// say something before the commit.
func (w http1Writer) readFrom(src io.Reader, above io.Writer) (int64, error) {
	if w.over() {
		return 0, http.ErrHandlerTimeout
	}
	e, state := w.exchange(), w.state.Load()
	first := int64(0)
	if state&stateCommitted == 0 || e.place == atTheEntry && untold(state) {
		byWrite := struct{ io.Writer }{above}
		if e.place != somewhere && !e.readsFrom() {
			buffer := copyBuffers.Get().(*[copySize]byte)
			defer copyBuffers.Put(buffer)
			return io.CopyBuffer(byWrite, src, buffer[:])
		}
		var err error
		if first, err = io.Copy(byWrite, io.LimitReader(src, sniffed)); err != nil || first < sniffed {
			return first, err
		}
		if e.place != somewhere {
			w.Flush() // so that net/http does not look at the next ones as well
		}
	}
	w.write(flushing)
	rest, err := w.below.(io.ReaderFrom).ReadFrom(src)
	return first + rest, err
}

// readsFrom reports whether net/http hands a copy on to the connection, for which
// it writes the header. Where that has no ReadFrom, as with TLS, it copies by
// Write, in pieces of copySize.
func (e *Exchange) readsFrom() bool {
	if conn := e.decider().conn; conn != nil {
		_, ok := conn.Conn().(io.ReaderFrom)
		return ok
	}
	// Nobody has said what the connection is, but net/http shows it by how much it
	// asks of a source.
	w := e.below
	for {
		above, ok := w.(unwrapper)
		if !ok {
			break
		}
		w = above.Unwrap()
	}
	own, ok := w.(io.ReaderFrom)
	if !ok {
		return false
	}
	asked := new(emptySource)
	_, err := own.ReadFrom(asked)
	return err == nil && asked.size == sniffed
}

// emptySource has nothing to read, and notes how much was asked of it.
type emptySource struct{ size int }

func (s *emptySource) Read(p []byte) (int, error) {
	s.size = len(p)
	return 0, io.EOF
}

const (
	sniffed  = 512      // net/http's sniffLen
	copySize = 32 << 10 // … and its copyBufPool's
)

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

func (w http1Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.below.(http.Hijacker).Hijack()
	if err == nil {
		w.exchange().hijack()
	}
	return conn, rw, err
}

// http2Writer is for net/http's HTTP/2 writer.
type http2Writer struct{ *serverWriter }

func (w http2Writer) Push(target string, opts *http.PushOptions) error {
	return w.below.(http.Pusher).Push(target, opts)
}

// oddWriter has all the methods, of which facade.Like shows those that the
// writer below has.
type oddWriter struct{ http1Writer }

func (w oddWriter) Push(target string, opts *http.PushOptions) error {
	return http2Writer{w.serverWriter}.Push(target, opts)
}

// A supply is an exchange's own writer as a router's handlers get it, with the
// route for which the router is asked when one of them writes. The route is not the
// exchange's, since that may be answered on another goroutine while the router is
// still at work, as by a middleware that gives a handler up after a time.
type supply struct {
	*serverWriter
	route Route
	line  requestLine // as it came to the router
	asked atomic.Bool
}

type (
	http1Supply struct{ supply }
	http2Supply struct{ supply }
)

// suppliedTo returns the exchange whose own writer w is, and what a middleware
// above has supplied to it with this writer.
func suppliedTo(w http.ResponseWriter) (*Exchange, *supply) {
	switch t := w.(type) {
	case http1Writer:
		return t.exchange(), nil
	case http2Writer:
		return t.exchange(), nil
	case *http1Supply:
		return t.exchange(), &t.supply
	case *http2Supply:
		return t.exchange(), &t.supply
	}
	return nil, nil
}

// newSupply returns a writer around w, which is an exchange's own.
func newSupply(w http.ResponseWriter, r *http.Request, route Route) (http.ResponseWriter, *supply) {
	line := requestLine{r.Method, r.Host}
	if own, ok := w.(http2Writer); ok {
		s := &http2Supply{supply{serverWriter: own.serverWriter, route: route, line: line}}
		return s, &s.supply
	}
	own := w.(http1Writer)
	s := &http1Supply{supply{serverWriter: own.serverWriter, route: route, line: line}}
	return s, &s.supply
}

// report asks for the route, once, and gives it to the exchange, unless that is over
// and the router was given up.
func (s *supply) report() {
	if s.asked.Load() || s.asked.Swap(true) {
		return
	}
	e := s.exchange()
	if e.state.Load()&stateEnded != 0 {
		return
	}
	c := e.controller()
	if e.noteRoute(c, s.route.Path(), stateRouted, func() (q pattern.Request) {
		if c.rules&byMethod != 0 {
			q = pattern.Request{Method: s.line.method, Host: s.line.host, RouteMethod: methodOf(s.route)}
		}
		return q
	}) {
		e.Sensitive()
	}
}

func (w *http1Supply) Unwrap() http.ResponseWriter { return http1Writer{w.serverWriter} }
func (w *http2Supply) Unwrap() http.ResponseWriter { return http2Writer{w.serverWriter} }

func (s *supply) WriteHeader(status int) {
	if final(status) {
		s.report()
	}
	s.serverWriter.WriteHeader(status)
}

func (s *supply) Write(p []byte) (int, error) {
	s.report()
	return s.serverWriter.Write(p)
}

func (s *supply) WriteString(p string) (int, error) {
	s.report()
	return s.serverWriter.WriteString(p)
}

func (s *supply) Flush() {
	s.report()
	s.serverWriter.Flush()
}

func (s *supply) FlushError() error {
	s.report()
	return s.serverWriter.FlushError()
}

func (w *http1Supply) ReadFrom(src io.Reader) (int64, error) {
	return http1Writer{w.serverWriter}.readFrom(src, w)
}

func (w *http1Supply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http1Writer{w.serverWriter}.Hijack()
}

func (w *http2Supply) Push(target string, opts *http.PushOptions) error {
	return http2Writer{w.serverWriter}.Push(target, opts)
}
