package goaway

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// preface is what a client sends first (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// prefaceTimeout is net/http's.
const prefaceTimeout = 10 * time.Second

// readPreface does what net/http has done with a connection without TLS, so that
// both kinds are served in the same way.
func readPreface(c net.Conn) error {
	c.SetReadDeadline(time.Now().Add(prefaceTimeout))
	var got [len(preface)]byte
	if _, err := io.ReadFull(c, got[:]); err != nil {
		return err
	}
	if string(got[:]) != preface {
		return fmt.Errorf("bogus greeting %q", got)
	}
	return c.SetReadDeadline(time.Time{})
}

// logPreface logs what net/http would, in its words.
func logPreface(srv *http.Server, c net.Conn, err error) {
	for _, ordinary := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded} {
		if errors.Is(err, ordinary) {
			return
		}
	}
	logf := log.Printf
	if srv.ErrorLog != nil {
		logf = srv.ErrorLog.Printf
	}
	logf("http2: server: error reading preface from client %v: %v", c.RemoteAddr(), err)
}
