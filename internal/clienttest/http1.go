package clienttest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Conn is an HTTP/1 connection on which requests are written by hand.
type Conn struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

// Dial connects in cleartext.
func Dial(t testing.TB, address string) *Conn {
	t.Helper()
	return newConn(t, dial(t, address))
}

// DialTLS connects over TLS.
func DialTLS(t testing.TB, address string) *Conn {
	t.Helper()
	return newConn(t, dialTLS(t, address, "http/1.1"))
}

func newConn(t testing.TB, conn net.Conn) *Conn {
	return &Conn{Conn: conn, t: t, in: bufio.NewReaderSize(conn, 64<<10)}
}

// Send writes raw bytes.
func (c *Conn) Send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, raw); err != nil {
		c.t.Fatalf("the client could not send: %v", err)
	}
}

// Get sends an HTTP/1.1 GET with these header lines and reads the response.
func (c *Conn) Get(path string, lines ...string) Response {
	c.t.Helper()
	c.Send(Request("GET", path, lines...))
	return c.Receive()
}

// Request returns an HTTP/1.1 request without a body.
func Request(method, path string, lines ...string) string {
	head := method + " " + path + " HTTP/1.1\r\nHost: test\r\n"
	for _, line := range lines {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

// Response is one final response as it was on the wire.
type Response struct {
	Proto      string
	Status     int
	Header     http.Header
	Connection []string // the values of the Connection field, one per line
	Body       string
	// Informational has the headers of the 1xx responses before it.
	Informational []http.Header
	Trailer       http.Header
	// Truncated is the error that ended the body too early.
	Truncated error
}

// Receive reads the response to a request that was not a HEAD.
func (c *Conn) Receive() Response {
	c.t.Helper()
	response, err := c.TryReceive()
	if err != nil {
		c.t.Fatalf("instead of a response: %v", err)
	}
	if response.Truncated != nil {
		c.t.Fatalf("the body ended after %d bytes: %v", len(response.Body), response.Truncated)
	}
	return response
}

// TryReceive is Receive where a response may be missing or cut off.
func (c *Conn) TryReceive() (Response, error) {
	return c.TryReceiveTo(http.MethodGet, nil)
}

// TryReceiveTo is TryReceive for the response to a request of any method.
// informed, if it is not nil, is called with the status of each 1xx response when
// it comes.
func (c *Conn) TryReceiveTo(method string, informed func(status int)) (response Response, err error) {
	for {
		head, err := c.head()
		if err != nil {
			return Response{}, err
		}
		raw, err := http.ReadResponse(c.in, &http.Request{Method: method})
		if err != nil {
			return Response{}, err
		}
		if raw.StatusCode < 200 && raw.StatusCode != http.StatusSwitchingProtocols {
			response.Informational = append(response.Informational, head)
			if informed != nil {
				informed(raw.StatusCode)
			}
			continue
		}
		response.Proto, response.Status = raw.Proto, raw.StatusCode
		response.Header, response.Connection = head, head["Connection"]
		if raw.StatusCode == http.StatusSwitchingProtocols {
			return response, nil
		}
		var body strings.Builder
		_, response.Truncated = io.Copy(&body, raw.Body)
		raw.Body.Close()
		response.Body, response.Trailer = body.String(), raw.Trailer
		return response, nil
	}
}

// head returns the next header without consuming it. http.ReadResponse takes the
// Connection field away.
func (c *Conn) head() (http.Header, error) {
	for n := 1; ; n = max(n, c.in.Buffered()) + 1 {
		peeked, err := c.in.Peek(n)
		peeked, _ = c.in.Peek(max(len(peeked), c.in.Buffered()))
		if end := bytes.Index(peeked, []byte("\r\n\r\n")); end >= 0 {
			r := textproto.NewReader(bufio.NewReader(bytes.NewReader(peeked[:end+4])))
			if _, err := r.ReadLine(); err != nil {
				return nil, err
			}
			header, err := r.ReadMIMEHeader()
			return http.Header(header), err
		}
		if err != nil {
			return nil, fmt.Errorf("after %q: %w", peeked, err)
		}
	}
}

// ExpectClosed fails the test unless response says exactly "Connection: close"
// and the connection then ends without another byte.
func (c *Conn) ExpectClosed(response Response) {
	c.t.Helper()
	if !slices.Equal(response.Connection, []string{"close"}) {
		c.t.Errorf("Connection is %q, want exactly close", response.Connection)
	}
	c.ExpectEnd()
}

// ExpectKept fails the test unless response has no Connection field and the
// connection goes on.
func (c *Conn) ExpectKept(response Response) {
	c.t.Helper()
	if response.Connection != nil {
		c.t.Errorf("Connection is %q, want none", response.Connection)
	}
	c.ExpectOpen()
}

// ExpectClosedIf is ExpectClosed where closes is true, and ExpectKept where not.
func (c *Conn) ExpectClosedIf(closes bool, response Response) {
	c.t.Helper()
	if closes {
		c.ExpectClosed(response)
	} else {
		c.ExpectKept(response)
	}
}

// ExpectEnd fails the test unless the server ends the connection, in an orderly
// way and without another byte.
func (c *Conn) ExpectEnd() {
	c.t.Helper()
	if err := c.End(); err != nil {
		c.t.Errorf("the connection did not end: %v", err)
	}
}

// ExpectGone is ExpectEnd where a reset will do: a server that closes with
// something unread sends one.
func (c *Conn) ExpectGone() {
	c.t.Helper()
	if err := c.End(); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		c.t.Errorf("the connection did not end: %v", err)
	}
}

// End waits for the end of the connection.
func (c *Conn) End() error {
	switch b, err := c.in.ReadByte(); {
	case err == nil:
		c.in.UnreadByte()
		rest, _ := c.in.Peek(c.in.Buffered())
		return fmt.Errorf("the server sent %q", append([]byte{b}, rest[1:]...))
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// WaitReadable waits until there is something to read, or the end.
func (c *Conn) WaitReadable() { c.in.Peek(1) }

// Rest reads until the connection ends. The error is nil where that was in an
// orderly way.
func (c *Conn) Rest() (string, error) {
	rest, err := io.ReadAll(c.in)
	return string(rest), err
}

// moment is how long ExpectOpen looks for an end. A server that closes does so
// right behind its response.
const moment = 10 * time.Millisecond

// ExpectOpen fails the test if the server ends the connection or sends anything
// unasked. A request would be better proof, but each one counts as an exchange.
func (c *Conn) ExpectOpen() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(moment))
	defer c.SetReadDeadline(time.Now().Add(Patience))
	if err := c.End(); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("the connection is not open: it ended, or %v", err)
	}
}
