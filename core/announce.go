package core

// An announcement is decided at the commit point and told later: when the
// header leaves, or at the latest when the exchange has ended without a panic.
// A response that is aborted before anything was flushed has announced nothing.

// tell counts the announcement, if there is one, and, on HTTP/2, sends the GOAWAY.
func (e *Exchange) tell() {
	if untold(e.state.Load()) {
		e.tellOnce()
	}
}

// tellAtEnd is tell where nothing more will be written, unless the exchange was
// given up and somebody else has answered in its place.
func (e *Exchange) tellAtEnd() {
	if untold(e.state.Load()) && !(e.mayBeGivenUp() && e.context.Err() != nil) {
		e.tellOnce()
	}
}

// mayBeGivenUp reports whether a handler above may answer in the place of an
// exchange without a record, as http.TimeoutHandler does: it has set a deadline, and
// what is written goes to a writer that may keep it until then. Where there is a
// record, announced finds out.
func (e *Exchange) mayBeGivenUp() bool {
	if e.kind != loneKind || e.place != somewhere {
		return false
	}
	_, hurries := e.context.Deadline()
	return hurries
}

func (e *Exchange) tellOnce() {
	before := e.state.Or(stateTold)
	if before&stateTold != 0 {
		return
	}
	conn, reason := e.conn, decidedIn(before)
	switch {
	case conn == nil:
		e.controller().countUntrackedClose(reason, e.rare.scope.protocol)
	case conn.tells():
		conn.announce(reason, e)
	default:
		conn.announced(e)
	}
}

// The bytes of a body that net/http holds back before it writes the header:
// (*response).w of HTTP/1, responseWriterState.bw of HTTP/2.
const (
	heldBackHTTP1 = 2 << 10
	heldBackHTTP2 = 4 << 10
)

// writes takes note of n more bytes of the body of an announcing response.
func (e *Exchange) writes(n int) {
	most := heldBackHTTP1
	if e.kind == streamKind {
		most = heldBackHTTP2
	}
	switch sum := int(e.written) + n; {
	case n == flushing:
	case sum <= most:
		e.written = uint16(sum)
		return
	case e.mayBeGivenUp():
		return
	}
	e.tell()
}

// announced notes that a response's header with the announcement has been
// handed to the server.
func (c *Connection) announced(e *Exchange) {
	// Where another exchange is under way, or none, this one was given up by a
	// handler above it and its header goes nowhere: the mark makes the next
	// response announce. A context that is done says only that it may have been
	// given up: a client that has closed its own side may still read. Nothing
	// is above the entry.
	bits := c.bits.Load()
	current := c.current.Load()
	if bits&bitEntered == 0 && (current != nil && current != e && e.kind == ownKind || bits&bitActive == 0) {
		c.countClose(0)
		return
	}
	add := uint32(bitAnnounced)
	if c.ctl.drainSince() != 0 {
		add |= bitAnnouncedDrain
	}
	if bits&bitEntered == 0 && e.context.Err() != nil {
		add |= bitGivenUp
	}
	c.clear(bitGivenUp)
	c.countClose(add)
}

// announce marks a connection with AnnounceWith and tells the client, once. by
// is the exchange whose response does, nil where none does.
func (c *Connection) announce(reason reasonIndex, by *Exchange) {
	c.setMark(reason)
	bits := uint32(bitAnnounced)
	if c.ctl.drainSince() != 0 {
		bits |= bitAnnouncedDrain
	}
	if c.countClose(bits)&bitAnnounced != 0 {
		return
	}
	mark, _ := c.marked()
	(*c.sharedRecord().tell.Load())(c.ctl.reason(mark))
	c.closeLeaving(mark, by)
}

// closeLate is for what asks for the connection's end when the header has left.
func (e *Exchange) closeLate(reason reasonIndex) {
	switch {
	case e.conn == nil || e.state.Load()&stateHijacked != 0:
	case e.conn.tells():
		e.decideLate(reason)
		e.conn.announce(reason, e)
	default:
		e.conn.setMark(reason)
	}
}

// decideLate makes the announcement this exchange's own, which is not a reason
// for its stream to leave.
func (e *Exchange) decideLate(reason reasonIndex) {
	for {
		state := e.state.Load()
		if decidedIn(state) != 0 || e.state.CompareAndSwap(state, state|uint32(reason)<<reasonShift|stateTold) {
			return
		}
	}
}
