package goaway

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a client may take to acknowledge the PINGs. Then the last
// stream is named all the same. grpc-go waits as long.
const patience = 5 * time.Second

// With the first PING's acknowledgement the client has read the GOAWAY. But a
// stream that it had begun before may still wait to be written: Go's client
// numbers a stream first, and a PING is answered by another goroutine. This is
// seen on one connection in some hundred, so there is a second PING, and on a
// crowded machine a thread may be off the CPU for tens of milliseconds in
// between, so it is sent a little later. Cowboy waits for 1 s, Envoy for 5.
const (
	rounds = 2
	pause  = 100 * time.Millisecond
)

// A Conn is the server's end of an HTTP/2 connection, above TLS.
//
// Until it is announced it follows the frames that pass, which takes no
// allocation. Its methods are safe for concurrent use as far as those of the
// net.Conn below are; Read is for one goroutine at a time.
type Conn struct {
	net.Conn
	ctx  context.Context // what net/http made for the connection
	gone chan struct{}   // for overTwin: closed when the twin is done with it

	announced atomic.Bool // written under mu
	idle      atomic.Bool // no stream is open, as net/http's ConnState says
	ignored   atomic.Uint32

	writing sync.Mutex // the fields up to the next blank line
	out     frames
	queued  []byte // frames of ours for the next place between two
	said    bool   // the server has sent a GOAWAY of its own
	shut    bool   // and nothing is to follow

	in       frames // these belong to the goroutine that reads
	toServer []byte // what Read returns before it reads on
	highest  uint32 // stream that the client has opened
	answered uint64 // PINGs
	left     bool   // the server was told to shut the connection down
	limited  bool   // the read deadline of ours is for the frame under way

	mu          sync.Mutex // the fields below
	closed      bool
	interrupted bool // a read deadline of ours stands
	impatience  *time.Timer
	again       *time.Timer // sends the second PING
	leaving     atomic.Bool // the server is to be told; written under mu
}

// Announce tells the client that the connection ends: a GOAWAY that accepts every
// stream, and PINGs to know when the client has read it. It goes out between two
// frames of the server's, the next time that there is such a place. Streams that
// the client opens until it acknowledges the last PING are served, for at most
// five seconds; then the server shuts the connection down.
//
// Announce does not wait for any of this. Calling it again does nothing, and
// neither does calling it after the server has sent a GOAWAY for a reason of its
// own, such as IdleTimeout.
func (c *Conn) Announce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.announced.Load() || c.closed {
		return
	}
	c.impatience = time.AfterFunc(patience, c.interrupt)
	c.announced.Store(true)
	go c.send(append(goAway(maxStreamID), ping(1)...))
}

// Ignored returns how many streams the client has opened after it had
// acknowledged that the connection ends. None of them was served.
func (c *Conn) Ignored() int { return int(c.ignored.Load()) }

// send writes frames of ours, now if no frame of the server's is under way. It
// ends with the write, and so at the latest with the connection.
func (c *Conn) send(b []byte) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.queued = append(c.queued, b...)
	if c.mayInterpose(&c.out) {
		c.flush()
	}
}

// mayInterpose reports whether a frame of ours may follow what has passed. The
// server's first frame is its SETTINGS, and nothing may come before that (RFC
// 9113 §3.4).
func (c *Conn) mayInterpose(out *frames) bool { return out.ended && out.between() }

// flush writes what is queued. What an error leaves over is written before
// anything else, so that frames stay whole.
func (c *Conn) flush() error {
	if c.said {
		c.queued = nil // a later GOAWAY must not name a higher stream (RFC 9113 §6.8)
		return nil
	}
	n, err := c.Conn.Write(c.queued)
	c.queued = c.queued[n:]
	return err
}

func (c *Conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.shut {
		return len(p), nil // acknowledgements, to a client that has been told to go
	}
	if len(c.queued) > 0 {
		if n, err = c.writeAround(p); err != nil || n == len(p) {
			return n, err
		}
	}
	m, err := c.pass(p[n:])
	return n + m, err
}

// writeAround writes p as far as the first place between two frames, if there is
// one, and what is queued there.
func (c *Conn) writeAround(p []byte) (n int, err error) {
	for ahead := c.out; !c.mayInterpose(&ahead); {
		if n == len(p) {
			return 0, nil
		}
		m, _ := ahead.advance(p[n:])
		n += m
	}
	if n > 0 {
		if n, err = c.pass(p[:n]); err != nil {
			return n, err
		}
	}
	return n, c.flush()
}

// pass writes p and follows what of it has gone out.
func (c *Conn) pass(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	for p = p[:n]; len(p) > 0; {
		m, whole := c.out.advance(p)
		if whole && c.out.kind() == frameGoAway {
			c.said = true
		}
		p = p[m:]
	}
	if c.said && err == nil && c.idle.Load() && c.leaving.Load() && c.out.between() {
		c.shutWrite()
	}
	return n, err
}

// shutWrite ends the server's direction behind the last frame. net/http would wait
// a second for the client to close the connection; most do so when they read this,
// and what they still send is read until then, so that nothing is reset.
func (c *Conn) shutWrite() {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		c.shut = true
		half.CloseWrite()
	}
}

func (c *Conn) Read(p []byte) (int, error) {
	for {
		if len(c.toServer) > 0 {
			n := copy(p, c.toServer)
			c.toServer = c.toServer[n:]
			return n, nil
		}
		if c.leaving.Load() && !c.left {
			if c.in.between() {
				c.left = true
				c.endInterrupt()
				c.toServer = goAway(0)
				continue
			}
			c.limitFrame()
		}
		if c.announced.Load() && !c.left {
			p = p[:min(len(p), c.in.missing())] // so that Read gets to the end of a frame
		}
		n, err := c.Conn.Read(p)
		c.follow(p[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) && c.endInterrupt() {
			overdue := c.limited && c.idle.Load()
			c.limited = false
			switch {
			case n > 0:
				return n, nil
			case overdue:
				return 0, io.EOF
			}
			continue
		}
		return n, err
	}
}

// follow looks at what the client sent.
func (c *Conn) follow(p []byte) {
	for len(p) > 0 {
		n, whole := c.in.advance(p)
		p = p[n:]
		if !whole {
			return
		}
		switch c.in.kind() {
		case frameHeaders:
			if stream := c.in.stream(); stream > c.highest {
				c.highest = stream
				if c.left && c.answered == rounds {
					c.ignored.Add(1)
				}
			}
		case framePing:
			c.acknowledge()
		}
	}
}

// acknowledge handles a PING of the client's. One that acknowledges ours goes on
// to the server all the same, which ignores it.
func (c *Conn) acknowledge() {
	if !c.announced.Load() || c.in.flags()&flagAck == 0 || c.in.length() != pingLength ||
		binary.BigEndian.Uint64(c.in.ping()) != pingPayload+c.answered+1 {
		return
	}
	c.answered++
	if c.answered == rounds {
		c.leave(false)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.again = time.AfterFunc(pause, func() { c.send(ping(rounds)) })
	}
}

// interrupt is for a client that does not acknowledge. The server waits in a Read,
// which has to return to hand it anything.
func (c *Conn) interrupt() { c.leave(true) }

// leave makes Read tell the server to shut the connection down.
func (c *Conn) leave(interrupt bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving.Load() || c.closed {
		return
	}
	c.leaving.Store(true)
	c.impatience.Stop()
	if interrupt {
		// crypto/tls and net both read on after a deadline; net/http interrupts its
		// own reads in the same way.
		c.interrupted = true
		c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// limitFrame bounds the time for a frame that the client has begun: the server
// can be told only behind it. A client that stalls within it while no stream is
// open has left for all that can be known.
func (c *Conn) limitFrame() {
	if c.limited {
		return
	}
	c.limited = true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	c.Conn.SetReadDeadline(time.Now().Add(patience))
}

// endInterrupt takes back a read deadline of ours, and reports whether one
// stood.
func (c *Conn) endInterrupt() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.interrupted {
		return false
	}
	c.interrupted = false
	c.Conn.SetReadDeadline(time.Time{})
	return true
}

// Close closes the connection below. An announcement under way ends with it.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closed = true
	for _, t := range []*time.Timer{c.impatience, c.again} {
		if t != nil {
			t.Stop()
		}
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

// pingPayload is what the PINGs carry, plus their number. net/http's own carry
// random bytes.
const pingPayload uint64 = 0x706f6c697465_0000 // "polite"

func ping(number uint64) []byte {
	b := []byte{0, 0, pingLength, framePing, 0, 0, 0, 0, 0}
	return binary.BigEndian.AppendUint64(b, pingPayload+number)
}

// goAway is a GOAWAY with NO_ERROR.
func goAway(lastStream uint32) []byte {
	b := []byte{0, 0, 8, frameGoAway, 0, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, lastStream)
	return binary.BigEndian.AppendUint32(b, 0)
}
