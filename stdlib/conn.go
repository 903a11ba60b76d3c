package stdlib

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is the connection that Listener makes, below TLS.
type conn struct {
	*net.TCPConn
	listener *listener // that accepted it
	record   *record   // nil until the server is tracked; set before net/http serves
	bits     atomic.Uint32
}

// The bits of a conn. All in one, because there is one for every idle connection.
const (
	connClosed          = 1 << iota
	connNoReadDeadline  // there is none for sure
	connNoWriteDeadline // likewise
	connEnded           // the client has closed its side
	connBroken          // a read failed otherwise
	connAnswered        // with a 408 at its close: what comes now was not read
	connLayered         // the record's connection lies above this one, as TLS does
)

// NetConn returns the TCP connection, for whoever needs more of it than its
// methods: as of a *tls.Conn.
func (c *conn) NetConn() net.Conn { return c.TCPConn }

// AnswersAtOnce says that RemoteAddr does; see [core.Connection.Remote].
func (c *conn) AnswersAtOnce() {}

func (c *conn) closed() bool { return c.bits.Load()&connClosed != 0 }

func (c *conn) layered() bool { return c.bits.Load()&connLayered != 0 }

func (c *conn) Read(p []byte) (int, error) {
	if c.closed() {
		return 0, net.ErrClosed // what comes now is the linger's
	}
	n, err := c.TCPConn.Read(p)
	for n > 0 && c.bits.Load()&connAnswered != 0 {
		n, err = c.TCPConn.Read(p)
	}
	if c.record == nil {
		return n, err
	}
	if n > 0 && c.record.tally.watching() {
		c.record.hear()
	}
	if err != nil || c.layered() {
		c.seeRead(p[:n], err)
	}
	return n, err
}

// WriteTo is what io.Copy calls, such as that of a proxy which has hijacked the
// connection. It returns without an error where the client has closed its side.
func (c *conn) WriteTo(w io.Writer) (int64, error) {
	if c.closed() {
		return 0, net.ErrClosed
	}
	n, err := c.TCPConn.WriteTo(w)
	if err == nil && c.record != nil {
		c.seeRead(nil, io.EOF)
	}
	return n, err
}

// Close never waits. http.Server's Close and Shutdown call it while they hold the
// server's lock, and whoever hijacked the connection does not expect to wait
// either.
func (c *conn) Close() error {
	if c.bits.Or(connClosed)&connClosed != 0 {
		return net.ErrClosed
	}
	return c.close()
}

// close is for whoever has set connClosed.
func (c *conn) close() error {
	if c.record == nil {
		return c.TCPConn.Close()
	}
	if c.record.lingers() {
		if err := c.CloseWrite(); err == nil {
			go c.linger()
			return nil
		}
	}
	err := c.TCPConn.Close()
	c.record.leave(goneSocket)
	return err
}

// lingers reports whether the client was told of the close. One that was not may
// wait for ever with its own.
func (r *record) lingers() bool { return r.told() && !r.Hijacked() }

const (
	lingerSilence = 2 * time.Second  // without a byte from the client
	lingerTotal   = 10 * time.Second // however much it sends
)

var lingerBuffers = sync.Pool{New: func() any { return new([8 << 10]byte) }}

// linger reads and discards until the client has closed its side. Closing with
// unread input sends a reset, which can destroy what the client has not read yet.
// The goroutine ends within lingerTotal, or when the socket is closed, as the oldest
// one's is where too many linger.
func (c *conn) linger() {
	buffer := lingerBuffers.Get().(*[8 << 10]byte)
	defer lingerBuffers.Put(buffer)
	defer c.record.leave(goneSocket)
	defer c.TCPConn.Close()
	defer c.record.tracker().lingering.enter(c)()

	first := true
	discard(c.TCPConn, buffer[:], func(p []byte, err error) {
		c.seeRead(p, err)
		if len(p) > 0 && !c.record.HTTP2() && !(first && c.saysGoodbye(p)) && c.record.InputAfterAnnounce() {
			c.record.tally.inputAfterAnnounce.Add(1)
		}
		first = false
	})
}

// discard reads what the client sends, and tells of each piece, until it has closed
// its side or one of the two bounds of a linger is reached.
func discard(client net.Conn, buffer []byte, heard func(p []byte, err error)) {
	for end := time.Now().Add(lingerTotal); time.Now().Before(end); {
		silence := time.Now().Add(lingerSilence)
		if silence.After(end) {
			silence = end
		}
		client.SetReadDeadline(silence)
		n, err := client.Read(buffer)
		heard(buffer[:n], err)
		if err != nil {
			return
		}
	}
}

const (
	header        = 5               // of a TLS record
	goodbyeLength = header + 2 + 17 // of TLS 1.3's
)

// saysGoodbye reports whether p is nothing but the alert with which a TLS client
// closes: in the clear, or encrypted by TLS 1.3, whose alert is 2 bytes with 1
// for its type and 16 for the tag (RFC 8446 §5.2). No HTTP message is as short.
func (c *conn) saysGoodbye(p []byte) bool {
	const alert, applicationData = 21, 23
	if len(p) < header || p[0] != alert && p[0] != applicationData || !c.layered() {
		return false
	}
	length := int(p[3])<<8 | int(p[4])
	return len(p) == header+length && (p[0] == alert || len(p) == goodbyeLength)
}
