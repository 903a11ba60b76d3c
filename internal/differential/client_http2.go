package differential

import (
	"strings"
	"time"

	"golang.org/x/net/http2"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// http2 sends the requests over one connection after the other, those of a group
// as streams side by side.
func (c *client) http2() {
	var conn *clienttest.HTTP2
	for i := 0; i < len(c.e.states); {
		if conn == nil {
			conn = clienttest.DialUnencryptedHTTP2(c.e.t, c.e.address)
			conn.SetDeadline(time.Now().Add(bound()))
			c.connections++
		}
		if c.e.states[i].drainBefore {
			c.e.drain()
		}
		to := c.group(i)
		if c.http2Group(conn, i, to) {
			conn.Close()
			conn = nil
		}
		i = to
	}
	if conn != nil {
		if c.drainsNow() {
			s := c.e.states[len(c.e.states)-1]
			r := conn.Finish(conn.StartRequest(s.method, s.path, false, s.fields()...))
			if r.Status < 200 || r.Truncated != nil {
				c.e.t.Errorf("the last response in the server's drain is %d, %v", r.Status, r.Truncated)
			}
			conn.ExpectGoAway()
		}
		conn.Close()
	}
}

func (c *client) http2Group(conn *clienttest.HTTP2, from, to int) (ended bool) {
	streams := make([]uint32, to)
	for i := from; i < to; i++ {
		s := c.e.states[i]
		c.results[i].connection = c.connections
		streams[i] = conn.StartRequest(s.method, s.path, s.body != noBody, s.fields()...)
		content := []byte(strings.Repeat("b", s.body.size()))
		switch {
		case s.body == noBody:
		case s.send == whole:
			conn.WriteData(streams[i], true, content)
		default:
			conn.WriteData(streams[i], false, content[:len(content)/2])
		}
	}
	leave := false
	for i := from; i < to; i++ {
		s, r := c.e.states[i], c.results[i]
		if s.send != whole {
			c.await(s, "taken the request", s.reached.c, s.finished.c)
			if s.send == abandoned {
				conn.WriteRSTStream(streams[i], http2.ErrCodeCancel)
				c.over(s)
				leave = true // nobody can say when its handler will have announced
				continue
			}
			if s.body != noBody {
				conn.WriteData(streams[i], true, make([]byte, s.body.size()-s.body.size()/2))
			}
		}
		r.response = conn.Finish(streams[i])
		r.final = r.response.Status >= 200
		c.over(s)
	}
	// What a server says of its own accord it says behind the last response.
	expected := false
	for i := from; i < to; i++ {
		expected = c.announces(i) || expected
	}
	if expected {
		conn.ExpectGoAway()
	} else {
		conn.Settle()
	}
	ended = conn.GoAway != nil || leave
	for i := from; i < to; i++ {
		c.results[i].goaway, c.results[i].ended, c.results[i].kept = conn.GoAway != nil, ended, !ended
	}
	return ended
}
