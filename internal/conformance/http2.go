package conformance

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// http2Client speaks HTTP/2 frame by frame, so that a GOAWAY is seen.
type http2Client struct {
	conn    net.Conn
	framer  *http2.Framer
	encoded bytes.Buffer
	encoder *hpack.Encoder
	stream  uint32
	goaway  bool
}

func newHTTP2Client(c *clienttest.HTTP2) *http2Client {
	client := &http2Client{conn: c.Conn, framer: c.Framer, stream: 1}
	client.encoder = hpack.NewEncoder(&client.encoded)
	return client
}

func (c *http2Client) close()          { c.conn.Close() }
func (c *http2Client) announced() bool { return c.goaway }

func (c *http2Client) leaving() error {
	for !c.goaway {
		if _, err := c.next(); err != nil {
			return fmt.Errorf("instead of a GOAWAY: %w", err)
		}
	}
	return nil
}

func (c *http2Client) do(r request) answer {
	c.conn.SetDeadline(time.Now().Add(clienttest.Patience))
	id := c.stream
	c.stream += 2
	if err := c.send(id, r); err != nil {
		return answer{transcript: "the request could not be written"}
	}
	var a answer
	var heads strings.Builder
	var body bytes.Buffer
	for {
		frame, err := c.next()
		if err != nil {
			a.transcript = heads.String() + body.String() + "\nthe connection ended"
			return a
		}
		if frame.Header().StreamID != id {
			continue
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			connection := &a.connection
			if strings.HasPrefix(f.PseudoValue("status"), "1") {
				a.hints, connection = true, &a.hintsConnection
			} else {
				a.final = true
			}
			heads.WriteString("HEADERS\n")
			for _, h := range f.Fields {
				switch h.Name {
				case "date":
				case "connection":
					*connection = append(*connection, h.Value)
				default:
					fmt.Fprintf(&heads, "%s: %s\n", h.Name, h.Value)
				}
			}
		case *http2.DataFrame:
			body.Write(f.Data())
		case *http2.RSTStreamFrame:
			fmt.Fprintf(&heads, "RST_STREAM %v\n", f.ErrCode)
			a.transcript = heads.String() + body.String()
			return a
		}
		if frame.Header().Flags.Has(http2.FlagDataEndStream) { // the same bit on HEADERS
			a.whole = true
			a.transcript = heads.String() + body.String()
			return a
		}
	}
}

// connectionFields must not be sent over HTTP/2 (RFC 9113 §8.2.2).
var connectionFields = []string{"Connection", "Upgrade"}

func (c *http2Client) send(id uint32, r request) error {
	c.encoded.Reset()
	fields := []field{{":method", r.method}, {":scheme", "https"}, {":authority", "conformance"}, {":path", r.path}}
	for _, f := range append(fields, r.header...) {
		if !slices.Contains(connectionFields, f.name) {
			c.encoder.WriteField(hpack.HeaderField{Name: strings.ToLower(f.name), Value: f.value})
		}
	}
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.encoded.Bytes(), EndHeaders: true, EndStream: r.body == "",
	})
	if err != nil || r.body == "" {
		return err
	}
	return c.framer.WriteData(id, true, []byte(r.body))
}

// next reads a frame and answers those that want an answer.
func (c *http2Client) next() (http2.Frame, error) {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return nil, err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			err = c.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			err = c.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		c.goaway = true
	}
	return frame, err
}
