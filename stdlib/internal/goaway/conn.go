package goaway

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is the server's end of an HTTP/2 connection, above TLS. It follows the
// frames that pass in both directions, and takes part only when the connection is
// to end.
//
// Its methods are safe for concurrent use as far as those of the net.Conn below
// are; Read is for one goroutine at a time.
type Conn struct {
	net.Conn
	server    *http.Server
	idleLimit time.Duration // without a stream, before it is announced; 0 = none
	ignored   atomic.Uint32
	state     atomic.Uint32 // changes under mu

	// What is written.
	writing sync.Mutex
	out     frames
	rest    []byte // what an error has left of frames of ours

	// What is read. It belongs to the goroutine that reads.
	in       frames
	preface  int    // bytes of the client's that are still to come
	strips   bool   // the server expects no preface
	toServer []byte // what Read returns before it reads on

	// What is known from both.
	mu      sync.Mutex
	streams streams
	pushes  bool // the server has promised streams of its own

	// The announcement, also under mu.
	reason      string
	pings       uint8       // of ours that have been written
	answers     bool        // the client has acknowledged one of them
	confirmed   bool        // the client has acknowledged the first two of them
	unread      bool        // a response has ended behind the last of them
	interrupted bool        // a read deadline of ours stands
	since       time.Time   // the present step
	heard       time.Time   // something ended or, from told on, was read
	timer       *time.Timer // of the present step; nil until one needs it
}

// NetConn returns the connection below, as net/http has it from its listener.
func (c *Conn) NetConn() net.Conn {
	if below, ok := c.Conn.(*begun); ok {
		return below.Conn
	}
	return c.Conn
}

// Write is one call deep while nothing is announced. net/http makes it from a
// goroutine that it starts for each frame, whose first stack is just large enough
// for its own calls.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.step() > serving {
		return c.writeAround(p)
	}
	n, err = c.Conn.Write(p)
	c.follow(p[:n])
	if err == nil && c.step() > serving { // announced meanwhile
		_, err = c.writeAround(nil)
	}
	return n, err
}

// writeAround writes p with what of ours belongs before, within and behind it.
func (c *Conn) writeAround(p []byte) (n int, err error) {
	for {
		if err := c.interpose(); err != nil {
			return n, err
		}
		if c.step() == shut {
			return len(p), nil // acknowledgements, to a client that has been told to go
		}
		if n == len(p) {
			return n, nil
		}
		m, err := c.Conn.Write(p[n : n+c.stretch(p[n:])])
		c.follow(p[n : n+m])
		if n += m; err != nil {
			return n, err
		}
	}
}

// flush is a Write of nothing: it sends what may wait for no frame of the
// server's. It ends with the write, and so at the latest with the connection.
func (c *Conn) flush() { _, _ = c.Write(nil) }

// interpose does what belongs at the present place: it writes frames of ours, or
// ends our direction behind the last response. What an error leaves of a frame is
// written before anything else, so that frames stay whole.
func (c *Conn) interpose() error {
	if c.rest == nil {
		if !c.out.place() {
			return nil
		}
		c.mu.Lock()
		c.rest = c.next()
		last := c.finished()
		c.mu.Unlock()
		if last {
			c.shutWrite()
		}
		if c.rest == nil {
			return nil
		}
	}
	n, err := c.Conn.Write(c.rest)
	if c.rest = c.rest[n:]; len(c.rest) == 0 {
		c.rest = nil
		c.mu.Lock()
		c.passed()
		c.mu.Unlock()
	}
	return err
}

// stretch returns how much of p may be written before interpose has to be asked
// again.
func (c *Conn) stretch(p []byte) (n int) {
	step := c.step()
	if step != announcing && step != telling && step != asking {
		return len(p)
	}
	for ahead := c.out; n < len(p); {
		m, whole := ahead.advance(p[n:])
		n += m
		if whole && ahead.between() && (step != announcing || ahead.endsStream() || ahead.kind() == frameReset) {
			break
		}
	}
	return n
}

// follow looks at what of the server's has gone out.
func (c *Conn) follow(p []byte) {
	for len(p) > 0 {
		m, whole := c.out.advance(p)
		if p = p[m:]; whole {
			c.wrote()
		}
	}
}

// wrote follows a frame of the server's.
func (c *Conn) wrote() {
	f := &c.out
	switch f.kind() {
	case frameGoAway, framePushPromise, frameReset:
	default:
		if !f.endsStream() {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.kind() {
	case frameGoAway:
		c.serverSaid(f.lastStream(), f.errorCode())
	case framePushPromise:
		c.pushes = true
	case frameReset:
		c.streamEnded(f.stream(), both)
	default:
		c.streamEnded(f.stream(), fromServer)
	}
}

// shutWrite ends our direction. net/http would wait a second for the client to
// close the connection; most do so when they read this, and what they still send
// is read until then, so that nothing is reset.
func (c *Conn) shutWrite() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(shut)
}

func (c *Conn) Read(p []byte) (int, error) {
	if c.strips && c.preface > 0 {
		if err := c.readPreface(); err != nil {
			return 0, err
		}
	}
	for {
		if c.step() == leaving && c.in.place() {
			c.tellServer()
		}
		if len(c.toServer) > 0 {
			n := copy(p, c.toServer)
			c.toServer = c.toServer[n:]
			return n, nil
		}
		n, err := c.read(p)
		if err == nil || !c.endInterrupt(err) {
			return n, err
		}
		switch {
		case n > 0:
			return n, nil
		case c.step() == over:
			return 0, io.EOF
		}
	}
}

// read reads from the connection below, to the end of the client's frame at most
// where the server may have to be told behind it.
func (c *Conn) read(p []byte) (int, error) {
	if step := c.step(); step > serving && step < left {
		p = p[:min(len(p), max(c.preface, c.in.missing()))]
	}
	n, err := c.Conn.Read(p)
	for p = p[:n]; len(p) > 0; {
		if m := min(c.preface, len(p)); m > 0 {
			c.preface -= m
			p = p[m:]
			continue
		}
		m, whole := c.in.advance(p)
		if p = p[m:]; whole {
			c.got()
		}
	}
	return n, err
}

// got follows a frame of the client's.
func (c *Conn) got() {
	f, step := &c.in, c.step()
	opened, ends, kind := f.opened(), f.endsStream(), f.kind()
	if opened == 0 && !ends && kind != frameReset && step != told && step != asked && kind != framePing {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if opened > 0 {
		c.clientOpened(opened)
	}
	switch {
	case ends:
		c.streamEnded(f.stream(), fromClient)
	case kind == frameReset:
		c.streamEnded(f.stream(), both)
	case kind == framePing && f.flags()&flagAck != 0 && f.length() == pingLength:
		// It goes on to the server all the same, which ignores it.
		c.acknowledged(f.ping() - pingPayload)
	}
	switch c.step() {
	case telling:
		if step == announcing {
			go c.flush()
		}
	case told, asked:
		if kind == frameWindowUpdate { // it reads what was written before ours
			c.heard = time.Now()
		}
	}
}

// tellServer hands the server a GOAWAY as if the client had sent it.
func (c *Conn) tellServer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resetDeadline()
	if c.step() == leaving {
		c.toServer = goAway(0, "")
		c.enter(left)
	}
}

// interrupt makes Read return, in which the server waits. It is called with mu
// held.
func (c *Conn) interrupt() {
	// crypto/tls and net both read on after a deadline; net/http interrupts its own
	// reads in the same way.
	c.interrupted = true
	c.Conn.SetReadDeadline(time.Unix(1, 0))
}

// endInterrupt takes back a read deadline of ours where that is what the error of a
// Read comes from.
func (c *Conn) endInterrupt(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.interrupted && isTimeout(err) && c.resetDeadline()
}

func (c *Conn) resetDeadline() bool {
	if !c.interrupted {
		return false
	}
	c.interrupted = false
	c.Conn.SetReadDeadline(time.Time{})
	return true
}

// isTimeout reports whether a deadline has passed. A connection of somebody else's
// may say so with an error of its own.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// Close closes the connection below. An announcement under way ends with it.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.enter(over)
	c.mu.Unlock()
	return c.Conn.Close()
}
