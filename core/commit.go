package core

import (
	"net/http"

	"github.com/politeclose/politeclose/core/internal/header"
)

// Commit takes the exchange's decision and, for a close, writes the announcement
// into h, which must be the header that is about to be sent with status. It is
// for a framework with a writer of its own; [Exchange.Writer] calls it by itself.
// The first call with a final status counts, later calls do nothing. A status
// from 100 to 199 other than 101 is not final and does nothing either (RFC 9110
// §15.2). 101 announces nothing; a writer whose connection was hijacked says so
// with it. Where the exchange does not decide, it does nothing.
func (e *Exchange) Commit(h http.Header, status int) {
	if informational(status) || !e.Decides() {
		return
	}
	if before := e.state.Or(stateCommitted); before&stateCommitted == 0 {
		e.conclude(before, h, status)
		if before&stateEnded != 0 {
			e.tell() // a postponed response
		}
	}
}

func informational(status int) bool {
	return status < 200 && status != http.StatusSwitchingProtocols
}

// conclude is what the first commit does. before is the state that it found. h is
// the header map, nil where the handler has never asked for it: net/http copies
// the map of who has. It returns what it has changed in the map.
func (e *Exchange) conclude(before uint32, h http.Header, status int) (o header.Override) {
	c := e.controller()
	if e.kind == loneKind {
		c.sayUntracked()
	}
	if status == http.StatusSwitchingProtocols {
		e.leaveFlight() // the connection is no longer HTTP's to end
		return o
	}
	if before&stateSkipped != 0 {
		return o
	}
	if before&stateClientCloses != 0 {
		return e.clientClose(c, h)
	}
	reason := e.decide(c, h, status)
	if reason == 0 {
		if before&stateAdvertises != 0 {
			return header.Advertise(e.header(h), *e.conn.sharedRecord().keepAlive.Load())
		}
		return o
	}
	e.state.Or(uint32(reason) << reasonShift)
	if e.conn != nil {
		e.conn.setMark(reason)
	}
	switch {
	case e.conn != nil && e.conn.tells():
		return header.DeleteConnection(h) // net/http would make a GOAWAY of it, the last one at once
	case before&stateHTTP3 != 0:
		return header.DeleteConnection(h) // RFC 9114 §4.2: it would make the response malformed
	}
	return header.SetClose(e.header(h))
}

func (e *Exchange) header(h http.Header) http.Header {
	if h == nil {
		return e.below.Header()
	}
	return h
}

// clientClose is the client's own word: Connection: close in its request, or
// HTTP/1.0 without keep-alive. net/http closes then, and says so to HTTP/1.1.
func (e *Exchange) clientClose(c *Controller, h http.Header) (o header.Override) {
	if e.conn == nil || e.conn.set(bitClientClose)&bitClientClose == 0 {
		c.clientInitiated.Add(1)
	}
	if header.Connection(h) != nil {
		return header.SetClose(h)
	}
	return o
}
