package goaway

import (
	"encoding/binary"
	"time"
)

// state is how far the end of a connection is. RFC 9113 §6.8 in steps:
//
//  1. [Conn.Announce]. Some clients fail every open stream at any GOAWAY, so it
//     waits for a moment in which nothing is under way: see [Conn.responded].
//  2. GOAWAY(2^31-1), which accepts every stream, and a PING go out together.
//  3. The client acknowledges the PING: it has read the GOAWAY, and begins no more
//     streams. But one that it had begun before may still wait to be written: Go's
//     client numbers a stream first, and a PING is answered by another goroutine.
//     So a little later there is a second PING, and its acknowledgement.
//  4. Between two frames of the client's the server is handed a GOAWAY as if the
//     client had sent it.
//  5. The server answers with a GOAWAY of its own, which names the last stream
//     that it has seen, and serves what is open.
//  6. Behind the last response our direction ends, and then the connection. Node's
//     client may take that end from TLS before the frames in front of it, which wait
//     while it writes. So where a response has ended behind the last PING there is
//     another one, and our direction ends when that is acknowledged.
//
// A GOAWAY of the server's own at an earlier step, such as for its IdleTimeout, is
// step 5. No step waits for the client without a bound: see [Conn.deadline], and for
// step 6 the second after which net/http closes a connection that has no stream left.
type state uint32

const (
	serving    state = iota // nobody was told anything
	announcing              // 1: the first GOAWAY waits for its moment
	telling                 // 2: GOAWAY and PING wait for a place between the server's frames
	told                    // 2: they have left
	pausing                 // 3: the first PING is acknowledged
	asking                  // 3: the second PING waits for a place
	asked                   // 3: it has left
	leaving                 // 4: the server's GOAWAY waits for a place between the client's frames
	left                    // 4: the server has it
	named                   // 5
	closing                 // 6: the last PING has left
	parting                 // 6: it is acknowledged
	shut                    // 6: what the server still writes goes nowhere
	over                    // closed, or ended by the server for an error: nothing of ours follows
)

const (
	// lastResponses is how long the first GOAWAY waits for the responses under way.
	lastResponses = 250 * time.Millisecond

	// quiet is how long nothing has to be under way before it. Java's client fails a
	// response, too, that it has read and not yet handed on.
	quiet = time.Millisecond

	// quietWithin is how long such a moment is looked for. A connection that has been
	// silent for as long is told at once: hardly a request crosses the GOAWAY.
	quietWithin = 25 * time.Millisecond

	// drainRequests is how many requests may come meanwhile in a drain, and
	// ownRequests where the connection ends for a reason of its own: such as its
	// limit of requests, which a busy client is not to exceed by many.
	drainRequests = 32
	ownRequests   = 1

	// patience is how long a client may take to acknowledge a PING while nothing is
	// under way on the connection. Then the last stream is named all the same.
	// grpc-go waits as long.
	patience = 5 * time.Second

	// longest is how long a step may take while something is under way: a slow
	// client reads the GOAWAY behind the responses that were written before it, and
	// acknowledges it behind its own upload.
	longest = time.Minute

	// pause is between an acknowledgement and the second PING. A stream that was
	// begun before the GOAWAY was read is seen on one connection in some hundred,
	// and on a crowded machine a thread may be off the CPU for tens of milliseconds
	// in between. Cowboy waits for 1 s, Envoy for 5.
	pause = 100 * time.Millisecond
)

// The reasons of our own, beside those that Announce is given.
const (
	reasonDrain = "drain" // by srv.Shutdown or srv.SetKeepAlivesEnabled; also Announce's
	reasonIdle  = "idle"
)

// Announce tells the client that the connection ends: see [state]. reason is the
// debug data of the first GOAWAY. Streams that the client opens until it has
// acknowledged the end are served.
//
// Announce does not wait for any of this. Calling it again does nothing, and
// neither does calling it after the server has sent a GOAWAY of its own.
func (c *Conn) Announce(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.announce(reason)
}

// begin is called once, before the connection is served.
func (c *Conn) begin(idleLimit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idleLimit = idleLimit
	c.heard = time.Now()
	if idleLimit > 0 {
		c.enter(serving)
	}
}

// used reports whether a stream has been opened on the connection.
func (c *Conn) used() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams.highest > 0
}

// Ignored returns how many streams the client has opened after it had
// acknowledged that the connection ends. None of them was served.
func (c *Conn) Ignored() int { return int(c.ignored.Load()) }

func (c *Conn) step() state { return state(c.state.Load()) }

// The methods that follow are called with mu held.

func (c *Conn) announce(reason string) {
	if c.step() != serving {
		return
	}
	c.reason = reason
	c.streams.await()
	if !c.streams.responding() && time.Since(c.heard) >= quietWithin {
		c.tell()
		return
	}
	c.enter(announcing)
	c.heard = time.Time{} // nothing has ended yet
	c.setTimer()
}

// tell writes the first GOAWAY at the next place.
func (c *Conn) tell() {
	c.enter(telling)
	go c.flush()
}

func (c *Conn) enter(next state) {
	c.state.Store(uint32(next))
	c.since = time.Now()
	c.heard = c.since
	c.setTimer()
}

// deadline returns when the present step ends without the client, if it does.
func (c *Conn) deadline() (at time.Time, ok bool) {
	switch c.step() {
	case serving:
		if c.idleLimit == 0 {
			return at, false
		}
		if !c.streams.none() {
			return time.Now().Add(c.idleLimit), true // at the earliest
		}
		return c.heard.Add(c.idleLimit), true
	case announcing:
		switch {
		case c.streams.responding():
			return c.since.Add(lastResponses), true
		case c.heard.IsZero():
			return c.since.Add(quietWithin), true
		}
		return c.heard.Add(quiet), true
	case telling, asking: // no place comes, or the write does not end
		return c.since.Add(longest), true
	case told, asked:
		if end := c.heard.Add(patience); c.streams.none() && end.Before(c.since.Add(longest)) {
			return end, true
		}
		return c.since.Add(longest), true
	case pausing:
		return c.since.Add(pause), true
	case leaving: // the client stalls within a frame
		return c.since.Add(patience), true
	}
	return at, false
}

// setTimer makes timeout come at the deadline, or before it.
func (c *Conn) setTimer() {
	at, ok := c.deadline()
	switch {
	case ok && c.timer != nil:
		c.timer.Reset(time.Until(at))
	case ok:
		c.timer = time.AfterFunc(time.Until(at), c.timeout)
	case c.timer != nil:
		c.timer.Stop()
	}
}

func (c *Conn) timeout() {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.deadline()
	if !ok {
		return
	}
	if left := time.Until(at); left > 0 {
		c.timer.Reset(left)
		return
	}
	switch c.step() {
	case serving:
		c.reason = reasonIdle
		c.tell()
	case announcing:
		c.tell()
	case pausing:
		c.enter(asking)
		go c.flush()
	case leaving:
		// It has left, for all that can be known, unless a response is under way.
		if c.streams.none() {
			c.enter(over)
		} else {
			c.enter(leaving)
		}
		c.interrupt()
	default:
		c.enter(leaving)
		c.interrupt()
	}
}

// streamEnded follows the end of a stream in one direction or both.
func (c *Conn) streamEnded(stream uint32, in directions) {
	responded := c.streams.end(stream, in)
	c.unread = c.unread || responded
	switch c.step() {
	case serving: // the timer of an idle limit comes early enough
		c.heard = time.Now()
	case announcing:
		if responded {
			c.responded(stream)
		}
	case told, asked:
		if c.streams.none() {
			c.heard = time.Now()
			c.setTimer()
		}
	}
}

// responded follows the end of a stream while the first GOAWAY waits for its
// moment:
//
//  1. What was under way at the announcement is whole.
//  2. Nothing has been under way for a moment, which setTimer's timer ends: then
//     only what crosses the GOAWAY on the wire can meet it.
//  3. A client that always has something under way is told behind the end of a
//     response, once it was waited for that long or has sent so many requests.
func (c *Conn) responded(stream uint32) {
	if c.streams.awaited > 0 {
		return
	}
	c.heard = time.Now()
	last := stream <= c.streams.awaitedTo && !c.streams.responding()
	if !last && (c.heard.Sub(c.since) >= quietWithin || c.streams.sinceAwait() >= c.requestsMeanwhile()) {
		c.enter(telling)
		return
	}
	c.setTimer()
}

func (c *Conn) requestsMeanwhile() int {
	if c.reason == reasonDrain {
		return drainRequests
	}
	return ownRequests
}

// clientOpened follows a field block of the client's.
func (c *Conn) clientOpened(stream uint32) {
	switch {
	case c.step() < left:
		c.streams.begin(stream)
	case stream > c.streams.highest: // the server does not accept it
		c.streams.highest = stream
		if c.confirmed {
			c.ignored.Add(1)
		}
	}
}

// next returns the frames of ours that belong where the server's frames have got
// to now.
func (c *Conn) next() []byte {
	switch c.step() {
	case telling:
		c.pings = 1
		return append(goAway(maxStreamID, c.reason), ping(1)...)
	case asking:
		c.pings = 2
		return ping(2)
	case named:
		if c.silent() && c.unread && c.answers {
			c.pings = 3
			return ping(3)
		}
	}
	return nil
}

// finished reports whether our direction ends at the present place.
func (c *Conn) finished() bool {
	return c.step() == parting || c.step() == named && c.silent() && !(c.unread && c.answers)
}

// silent reports whether the server has no response to write any more.
func (c *Conn) silent() bool { return c.streams.none() && !c.pushes }

// passed follows that what next returned has left.
func (c *Conn) passed() {
	c.unread = false
	switch c.step() {
	case telling:
		c.enter(told)
	case asking:
		c.enter(asked)
	case named:
		c.enter(closing)
	}
}

// acknowledged follows the acknowledgement of a PING of ours. It may come before
// the Write that has sent the PING returns.
func (c *Conn) acknowledged(number uint64) {
	if number != uint64(c.pings) {
		return
	}
	c.answers = true
	switch c.step() {
	case telling, told:
		c.enter(pausing)
	case asking, asked:
		c.confirmed = true
		c.enter(leaving)
	case named, closing:
		if number == 3 { // it may be late with the others
			c.enter(parting)
			go c.flush()
		}
	}
}

// serverSaid follows a GOAWAY of the server's.
func (c *Conn) serverSaid(lastStream, code uint32) {
	step := c.step()
	switch {
	case step >= named:
	case step == serving || code != noError:
		// A GOAWAY that follows must not name a higher stream (RFC 9113 §6.8).
		c.enter(over)
	default:
		c.streams.refuse(lastStream)
		c.enter(named)
	}
}

// pingPayload is what the PINGs carry, plus their number. net/http's own carry
// random bytes.
const pingPayload uint64 = 0x706f6c697465_0000 // "polite"

func ping(number uint64) []byte {
	b := []byte{0, 0, pingLength, framePing, 0, 0, 0, 0, 0}
	return binary.BigEndian.AppendUint64(b, pingPayload+number)
}

// goAway is a GOAWAY with NO_ERROR.
func goAway(lastStream uint32, debug string) []byte {
	b := []byte{0, 0, byte(goAwayLength + len(debug)), frameGoAway, 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, lastStream)
	b = binary.BigEndian.AppendUint32(b, noError)
	return append(b, debug...)
}
