package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// http1Client writes requests by hand and keeps every byte that comes back.
type http1Client struct {
	conn    net.Conn
	version string // HTTP/1.0 or HTTP/1.1
	option  string // what the client says in Connection, if anything
}

func (c *http1Client) close()          { c.conn.Close() }
func (c *http1Client) announced() bool { return false }
func (c *http1Client) leaving() error  { return ended(c.conn) }

func (c *http1Client) do(r request) answer {
	c.conn.SetDeadline(time.Now().Add(clienttest.Patience))
	var raw bytes.Buffer
	if _, err := c.conn.Write(c.encode(r)); err != nil {
		return answer{transcript: "the request could not be written"}
	}
	in := bufio.NewReader(io.TeeReader(c.conn, &raw))
	final, whole := c.read(in, r)
	if !whole {
		io.Copy(io.Discard, in)
	}
	return newHTTP1Answer(raw.Bytes(), final, whole)
}

func (c *http1Client) encode(r request) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: conformance\r\n", r.method, r.path, c.version)
	option := c.option
	for _, f := range r.header {
		if f.name == "Connection" && option != "" {
			f.value, option = f.value+", "+option, ""
		}
		fmt.Fprintf(&b, "%s: %s\r\n", f.name, f.value)
	}
	if option != "" {
		fmt.Fprintf(&b, "Connection: %s\r\n", option)
	}
	if r.body != "" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	fmt.Fprintf(&b, "\r\n%s", r.body)
	return b.Bytes()
}

// read reads up to the response's end; net/http's reader knows where that is.
func (c *http1Client) read(in *bufio.Reader, r request) (final, whole bool) {
	for {
		response, err := http.ReadResponse(in, &http.Request{Method: r.method})
		if err != nil {
			return false, false
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			c.conn.Write(r.then)
			// So that the end comes where nobody has taken the connection over.
			c.conn.(interface{ CloseWrite() error }).CloseWrite()
			return false, false
		}
		if response.StatusCode < 200 {
			continue
		}
		_, err = io.Copy(io.Discard, response.Body)
		// A body without a length ends with the connection.
		bounded := response.ContentLength >= 0 || len(response.TransferEncoding) > 0
		return true, err == nil && bounded
	}
}
