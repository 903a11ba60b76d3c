package goaway

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"
)

// preface is what a client sends first (RFC 9113 §3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// prefaceTimeout is net/http's.
const prefaceTimeout = 10 * time.Second

// readPreface reads the client's preface for a server that expects none.
func (c *Conn) readPreface() error {
	c.Conn.SetReadDeadline(time.Now().Add(prefaceTimeout))
	var got [len(preface)]byte
	if _, err := io.ReadFull(c.Conn, got[:]); err != nil {
		return err
	}
	if string(got[:]) != preface {
		return fmt.Errorf("bogus greeting %q", got)
	}
	c.preface = 0
	return c.Conn.SetReadDeadline(time.Time{})
}

// greeted reads the preface of a connection whose server expects none. That is
// done within the server's first call of the ConnState hook: its SETTINGS have gone
// out then, as they do in net/http before it reads the preface, and its other
// timeouts have not begun.
func (c *Conn) greeted() bool {
	if c.preface == 0 {
		return true
	}
	if err := c.readPreface(); err != nil {
		c.logPreface(err)
		c.Close()
		return false
	}
	return true
}

// logPreface logs what net/http would, in its words.
func (c *Conn) logPreface(err error) {
	for _, ordinary := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded} {
		if errors.Is(err, ordinary) {
			return
		}
	}
	logf := log.Printf
	if c.server.ErrorLog != nil {
		logf = c.server.ErrorLog.Printf
	}
	logf("http2: server: error reading preface from client %v: %v", c.RemoteAddr(), err)
}
