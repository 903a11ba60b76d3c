package goaway

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// handsOver reports whether net/http hands over its HTTP/2 connections as it is
// relied on here, which it promises to nobody: with a handler that has the
// connection's context, and in cleartext within a tls.Conn under a name of its own.
// It is tried with a connection that only greets, once.
var handsOver = sync.OnceValue(func() bool {
	result := make(chan bool, 2) // the first one counts
	srv := &http.Server{
		ErrorLog:  log.New(io.Discard, "", 0),
		Protocols: new(http.Protocols),
		TLSNextProto: protocols{
			overTLS: func(*http.Server, *tls.Conn, http.Handler) {},
			unencrypted: func(_ *http.Server, c *tls.Conn, h http.Handler) {
				_, hasContext := h.(interface{ BaseContext() context.Context })
				result <- hasContext && unencryptedConn(c) != nil
			},
		},
	}
	srv.Protocols.SetUnencryptedHTTP2(true)
	_ = srv.Serve(&greetings{first: greeting{strings.NewReader(preface), result}})
	select {
	case result := <-result:
		return result
	case <-time.After(prefaceTimeout): // a release that nobody knows may do anything
		return false
	}
})

// greetings is a listener with one connection.
type greetings struct {
	nothing
	first greeting
	given bool
}

func (l *greetings) Accept() (net.Conn, error) {
	if l.given {
		return nil, errNothing
	}
	l.given = true
	return l.first, nil
}

// greeting is a connection of which nothing comes but what it has.
type greeting struct {
	io.Reader
	closed chan<- bool
}

func (g greeting) Write(p []byte) (int, error)      { return len(p), nil }
func (g greeting) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (g greeting) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (g greeting) SetDeadline(time.Time) error      { return nil }
func (g greeting) SetReadDeadline(time.Time) error  { return nil }
func (g greeting) SetWriteDeadline(time.Time) error { return nil }

func (g greeting) Close() error {
	select {
	case g.closed <- false:
	default:
	}
	return nil
}
