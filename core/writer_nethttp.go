package core

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// anyWriter is what net/http's two writers have in common. It is the Exchange
// itself, so that it costs no allocation. Its type assertions hold because
// Exchange.Writer made them before.
type anyWriter Exchange

func (w *anyWriter) exchange() *Exchange { return (*Exchange)(w) }

func (w *anyWriter) Unwrap() http.ResponseWriter { return w.below }

func (w *anyWriter) Header() http.Header { return w.below.Header() }

// commit is for the first byte or flush of a response without WriteHeader.
func (w *anyWriter) commit() {
	if w.state.Load()&stateCommitted == 0 {
		w.exchange().Commit(w.Header(), http.StatusOK)
	}
}

func (w *anyWriter) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		withoutConnection(w.Header(), func() { w.below.WriteHeader(status) })
		return
	}
	w.exchange().Commit(w.Header(), status)
	w.below.WriteHeader(status)
}

func (w *anyWriter) Write(p []byte) (int, error) {
	w.commit()
	return w.below.Write(p)
}

func (w *anyWriter) WriteString(s string) (int, error) {
	w.commit()
	return w.below.(io.StringWriter).WriteString(s)
}

func (w *anyWriter) Flush() {
	w.commit()
	w.below.(http.Flusher).Flush()
}

func (w *anyWriter) FlushError() error {
	w.commit()
	return w.below.(anyShape).FlushError()
}

func (w *anyWriter) CloseNotify() <-chan bool {
	return w.below.(anyShape).CloseNotify()
}

func (w *anyWriter) SetReadDeadline(t time.Time) error {
	return w.below.(anyShape).SetReadDeadline(t)
}

func (w *anyWriter) SetWriteDeadline(t time.Time) error {
	return w.below.(anyShape).SetWriteDeadline(t)
}

func (w *anyWriter) EnableFullDuplex() error {
	return w.below.(anyShape).EnableFullDuplex()
}

// http1Writer is for net/http's HTTP/1 writer.
type http1Writer struct{ *anyWriter }

func (w http1Writer) ReadFrom(src io.Reader) (int64, error) {
	w.commit()
	return w.below.(io.ReaderFrom).ReadFrom(src)
}

func (w http1Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := w.below.(http.Hijacker).Hijack()
	if err == nil {
		w.exchange().hijacked()
	}
	return conn, rw, err
}

// http2Writer is for net/http's HTTP/2 writer.
type http2Writer struct{ *anyWriter }

func (w http2Writer) Push(target string, opts *http.PushOptions) error {
	return w.below.(http.Pusher).Push(target, opts)
}

// hijacked takes the exchange out of HTTP: nothing is announced any more.
func (e *Exchange) hijacked() {
	e.add(stateCommitted)
	e.leaveFlight()
}

// withoutConnection hides a handler's Connection field from a 1xx response.
func withoutConnection(h http.Header, write func()) {
	left, ok := h["Connection"]
	if ok {
		delete(h, "Connection")
		defer func() { h["Connection"] = left }()
	}
	write()
}
