package clienttest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2 is an HTTP/2 connection of which a test sees the frames.
type HTTP2 struct {
	net.Conn
	*http2.Framer
	// GoAway is the last GOAWAY that came.
	GoAway *http2.GoAwayFrame
	// LastStreams has the last stream that each GOAWAY named, and DebugData what it
	// said. A frame's own is gone when the next one is read.
	LastStreams []uint32
	DebugData   []string

	t        testing.TB
	answered [8]byte // the data of the last PING that was answered
	encoded  bytes.Buffer
	encoder  *hpack.Encoder
	next     uint32
	streams  map[uint32]*stream
}

type stream struct {
	Response
	ended bool
}

// Window is the flow-control window that the client gives, enough for any
// response of a test.
const Window = 1 << 26

// DialHTTP2 connects over TLS.
func DialHTTP2(t testing.TB, address string) *HTTP2 {
	t.Helper()
	return NewHTTP2(t, dialTLS(t, address, http2.NextProtoTLS))
}

// DialUnencryptedHTTP2 connects in cleartext, with prior knowledge (RFC 9113
// §3.3).
func DialUnencryptedHTTP2(t testing.TB, address string) *HTTP2 {
	t.Helper()
	return NewHTTP2(t, dial(t, address))
}

// NewHTTP2 speaks over a connection that the test has made, such as a pipe in fake time.
func NewHTTP2(t testing.TB, conn net.Conn) *HTTP2 {
	t.Helper()
	c := &HTTP2{Conn: conn, Framer: http2.NewFramer(conn, conn), t: t, next: 1, streams: make(map[uint32]*stream)}
	c.encoder = hpack.NewEncoder(&c.encoded)
	c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := conn.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	c.must(c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: Window}))
	c.must(c.WriteWindowUpdate(0, Window))
	return c
}

func (c *HTTP2) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Start sends a GET and returns the number of its stream.
func (c *HTTP2) Start(path string) (id uint32) {
	c.t.Helper()
	return c.StartRequest("GET", path, false)
}

// StartRequest sends the header of a request with these fields, whose names are
// in lower case, and returns the number of its stream. Where a body follows, it
// is for the caller to write.
func (c *HTTP2) StartRequest(method, path string, bodyFollows bool, fields ...[2]string) (id uint32) {
	c.t.Helper()
	id = c.next
	c.next += 2
	c.encoded.Reset()
	pseudo := [][2]string{{":method", method}, {":scheme", "https"}, {":authority", "test"}, {":path", path}}
	for _, f := range append(pseudo, fields...) {
		c.must(c.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}))
	}
	c.must(c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.encoded.Bytes(), EndHeaders: true, EndStream: !bodyFollows,
	}))
	c.streams[id] = &stream{Response: Response{Proto: "HTTP/2.0"}}
	return id
}

// Get sends a GET and reads its response.
func (c *HTTP2) Get(path string) Response {
	c.t.Helper()
	response := c.Finish(c.Start(path))
	if response.Truncated != nil {
		c.t.Fatal(response.Truncated)
	}
	return response
}

// Finish reads until the response on the stream has ended. Where the server reset
// it, Truncated says so.
func (c *HTTP2) Finish(id uint32) Response {
	c.t.Helper()
	for !c.streams[id].ended {
		if err := c.Step(); err != nil {
			c.t.Fatalf("instead of the response on stream %d: %v", id, err)
		}
	}
	return c.streams[id].Response
}

// Step reads one frame and answers it where it wants an answer.
func (c *HTTP2) Step() error {
	frame, err := c.ReadFrame()
	if err != nil {
		return err
	}
	s := c.streams[frame.Header().StreamID]
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.WritePing(true, f.Data)
		}
		c.answered = f.Data
	case *http2.GoAwayFrame:
		c.GoAway = f
		c.LastStreams = append(c.LastStreams, f.LastStreamID)
		c.DebugData = append(c.DebugData, string(f.DebugData()))
	case *http2.MetaHeadersFrame:
		s.addFields(f)
		s.ended = f.StreamEnded()
	case *http2.DataFrame:
		s.Body += string(f.Data())
		s.ended = f.StreamEnded()
	case *http2.RSTStreamFrame:
		if s.ended {
			break // only the rest of the request's body is unwanted
		}
		s.Truncated = http2.StreamError{StreamID: f.StreamID, Code: f.ErrCode}
		s.ended = true
	}
	return nil
}

func (s *stream) addFields(f *http2.MetaHeadersFrame) {
	header := make(map[string][]string)
	for _, field := range f.RegularFields() {
		// As on the wire: what net/http's canonical form would hide is the point.
		header[field.Name] = append(header[field.Name], field.Value)
	}
	status := f.PseudoValue("status")
	if status == "" {
		s.Trailer = header
		return
	}
	if strings.HasPrefix(status, "1") {
		s.Informational = append(s.Informational, header)
		return
	}
	s.Status, _ = strconv.Atoi(status)
	s.Header, s.Connection = header, header["connection"]
}

// ExpectGoAway fails the test unless a GOAWAY comes.
func (c *HTTP2) ExpectGoAway() {
	c.t.Helper()
	for c.GoAway == nil {
		if err := c.Step(); err != nil {
			c.t.Errorf("instead of a GOAWAY: %v", err)
			return
		}
	}
}

// ExpectEnd fails the test unless the server ends the connection after a GOAWAY.
// net/http takes a second for that.
func (c *HTTP2) ExpectEnd() {
	c.t.Helper()
	c.ExpectGoAway()
	for {
		if err := c.Step(); err != nil {
			if !errors.Is(err, io.EOF) {
				c.t.Errorf("the connection did not end: %v", err)
			}
			return
		}
	}
}

// Settle waits for what the server sends of its own accord: until a GOAWAY has
// come, or the connection answers a PING.
func (c *HTTP2) Settle() error {
	c.t.Helper()
	data := [8]byte{'t', 'e', 's', 't'}
	c.must(c.WritePing(false, data))
	for c.answered = [8]byte{}; c.GoAway == nil && c.answered != data; {
		if err := c.Step(); err != nil {
			return err
		}
	}
	return nil
}

// ExpectOpen fails the test unless no GOAWAY has come and the connection answers
// a PING.
func (c *HTTP2) ExpectOpen() {
	c.t.Helper()
	if err := c.Settle(); err != nil {
		c.t.Errorf("the connection is not open: %v", err)
	} else if c.GoAway != nil {
		c.t.Errorf("the server sent %v", c.GoAway)
	}
}
