package differential

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// result is what the client saw of one request.
type result struct {
	response   clienttest.Response
	final      bool // a whole header of a final response came
	connection int  // of the client's connections
	// What became of the connection: whether the next request was answered on it,
	// or it ended first. Neither for the last request.
	kept, ended bool
	goaway      bool
	rest        string // HTTP/1: what came after a 101
}

// A judge says in time what a client must wait for.
type judge interface {
	// expects reports whether the response to this request must announce.
	expects(number int, all []*result) bool
	// orders reports whether it must also end in an orderly way, because we and
	// not net/http alone have decided it.
	orders(number int) bool
}

// client does what the program's client does. It waits for announcements that
// the judge expects, and for the end of connections whose end was announced.
type client struct {
	e           *env
	judge       judge // nil without us
	results     []*result
	connections int
}

func (e *env) runClient(j judge) []*result {
	c := &client{e: e, judge: j}
	for range e.states {
		c.results = append(c.results, new(result))
	}
	if e.p.http2 {
		c.http2()
	} else {
		c.http1()
	}
	return c.results
}

// groups are the requests that are sent together.
func (c *client) group(from int) (to int) {
	to = from + 1
	for to < len(c.e.states) && c.e.states[to].pipelined {
		to++
	}
	return to
}

// await waits for the handler's permission to go on, or its end.
func (c *client) await(s *state, what string, first, second <-chan struct{}) {
	select {
	case <-first:
	case <-second:
	case <-time.After(bound()):
		c.e.t.Errorf("request %d: the handler has not %s", s.number, what)
	}
}

// over is what happens after a request, before the client goes on.
func (c *client) over(s *state) {
	s.released.send()
	if s.path != "*" {
		c.await(s, "returned", s.finished.c, nil)
	}
	c.await(s, "unwound", waited(&s.unwinding), nil)
	s.mu.Lock()
	after := s.after
	s.after = nil
	s.mu.Unlock()
	for _, do := range after {
		do()
	}
}

func (c *client) announces(number int) bool {
	return c.judge != nil && c.judge.expects(number, c.results)
}

// A half says that a client sends nothing more.
type half interface{ CloseWrite() error }

// http1 sends the requests over one connection after the other.
func (c *client) http1() {
	var conn *clienttest.Conn
	fresh := false
	for i := 0; i < len(c.e.states); {
		if conn == nil {
			conn = clienttest.Dial(c.e.t, c.e.address)
			conn.SetDeadline(time.Now().Add(bound()))
			c.connections++
			fresh = true
		}
		to := c.group(i)
		if c.e.states[i].drainBefore {
			c.e.drain()
		}
		var ended bool
		i, ended = c.http1Group(conn, i, to, fresh)
		fresh = false
		if ended {
			conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		if c.drainsNow() {
			c.lastResponse(conn)
		}
		conn.Close()
	}
}

// drainsNow begins the server's drain where the program wants it at its end, with
// a connection that waits for its next request.
func (c *client) drainsNow() bool {
	if c.judge == nil || !c.e.p.drainAtEnd || c.e.p.served != byServe {
		return false
	}
	last := c.e.states[len(c.e.states)-1]
	last.mu.Lock()
	last.again = true
	last.mu.Unlock()
	c.e.last = true
	c.e.stop()
	eventually(c.e.t, "the server drains", c.e.ctl.Draining)
	return true
}

// lastResponse is that to a request that comes when the server drains.
func (c *client) lastResponse(conn *clienttest.Conn) {
	head, _ := c.e.states[len(c.e.states)-1].http1()
	io.WriteString(conn.Conn, head)
	response, err := conn.TryReceive()
	if err != nil || !slices.Equal(response.Connection, []string{"close"}) {
		c.e.t.Errorf("the last response in the server's drain has Connection: %q, %v", response.Connection, err)
		return
	}
	c.expectEnd(conn, len(c.e.states)-1, true)
}

// http1Group sends requests together and returns the first that has to be sent
// again, over another connection.
func (c *client) http1Group(conn *clienttest.Conn, from, to int, fresh bool) (next int, ended bool) {
	last := c.e.states[to-1]
	var raw strings.Builder
	for _, s := range c.e.states[from:to] {
		head, body := s.http1()
		raw.WriteString(head)
		if s != last {
			raw.WriteString(body)
		}
	}
	_, body := last.http1()
	rest := ""
	switch {
	case last.expect:
		body, rest = "", body
	case last.send != whole:
		body, rest = body[:len(body)/2], body[len(body)/2:]
	}
	raw.WriteString(body)
	// An error shows when the response is read.
	io.WriteString(conn.Conn, raw.String())

	for i := from; i < to; i++ {
		s, r := c.e.states[i], c.results[i]
		r.connection = c.connections
		if s.halfClose {
			conn.Conn.(half).CloseWrite()
		}
		informed := func(int) {}
		switch {
		case s != last:
		case s.expect:
			if s.dies() {
				// net/http reads the body before it closes, and asks for none.
				taken := c.taken(conn, s)
				io.WriteString(conn.Conn, rest)
				rest = ""
				<-taken
			}
			informed = func(status int) {
				if status == 100 {
					io.WriteString(conn.Conn, rest)
					rest = ""
				}
			}
		case s.send != whole:
			taken := c.taken(conn, s)
			switch {
			case s.answers() && s.wasHanded() && c.answered(s):
			case s.send == abandoned:
				conn.Close()
			default:
				io.WriteString(conn.Conn, rest)
			}
			<-taken
			switch {
			case s.answered.sent():
			case !s.wasHanded() && i > 0 && (i > from || !fresh):
				c.results[i-1].ended = true
				return i, true
			case s.send == abandoned:
				c.over(s)
				return i + 1, true
			}
		}
		var err error
		r.response, err = conn.TryReceiveTo(s.method, informed)
		switch {
		case err == nil:
			r.final = true
		case !s.wasHanded() && i > 0 && (i > from || !fresh):
			// The connection has ended behind the response before this one.
			c.results[i-1].ended = true
			return i, true
		default:
			c.over(s)
			r.ended = true
			return i + 1, true
		}
		if i > from || !fresh && i > 0 {
			c.results[i-1].kept = true
		}
		if s.answered.sent() {
			conn.Close()
			c.over(s)
			return i + 1, true
		}
		if r.response.Header.Get("Upgrade") != "" {
			io.WriteString(conn.Conn, "x")
			r.rest, _ = conn.Rest()
			c.over(s)
			r.ended = true
			return i + 1, true
		}
		c.over(s)
		if s.expect && rest != "" {
			conn.Conn.(half).CloseWrite() // or net/http waits for the body
		}
		c.announces(i)
		if c.judge != nil && slices.Equal(r.response.Connection, []string{"close"}) && r.response.Status != 101 && !c.e.bare(s) {
			c.expectEnd(conn, i, c.judge.orders(i))
			r.ended = true
			return i + 1, true
		}
		if s.halfClose || s.clientCloses() {
			c.expectEnd(conn, i, false)
			r.ended = true
			return i + 1, true
		}
	}
	return to, false
}

// bare reports whether a handler wrote the response without net/http.
func (e *env) bare(s *state) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.happened(sawHijack)
}

// answered reports, in time, whether the handler answers before it has all. Where
// it has not come to that, net/http may wait for the rest of the body.
func (c *client) answered(s *state) bool {
	c.await(s, "answered", s.answered.c, s.finished.c)
	return s.answered.sent()
}

// taken waits until the handler has the request or has returned, or something
// comes from the server, which may be the connection's end.
func (c *client) taken(conn *clienttest.Conn, s *state) (done <-chan struct{}) {
	readable := make(chan struct{})
	go func() {
		defer close(readable)
		conn.WaitReadable()
	}()
	select {
	case <-s.reached.c:
	case <-s.finished.c:
	case <-readable:
	case <-time.After(bound()):
		c.e.t.Errorf("request %d: nobody has taken it", s.number)
	}
	return readable
}

func (s *state) wasHanded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handed > 0
}

// expectEnd waits for the end of a connection that was announced.
func (c *client) expectEnd(conn *clienttest.Conn, number int, orderly bool) {
	rest, err := conn.Rest()
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		c.e.t.Errorf("request %d: the connection was announced as closing and did not end", number)
	} else if err != nil && orderly {
		c.e.t.Errorf("request %d: the announced end was not orderly: %v", number, err)
	}
	if rest != "" && c.judge != nil && !c.e.bare(c.e.states[number]) {
		c.e.t.Errorf("request %d: after the announcement came %q", number, rest)
	}
}

// http1 is the request as it is sent.
func (s *state) http1() (head, body string) {
	var b strings.Builder
	version := "HTTP/1.1"
	if s.version != http11 {
		version = "HTTP/1.0"
	}
	fmt.Fprintf(&b, "%s %s %s\r\nHost: test\r\n", s.method, s.path, version)
	for _, f := range s.fields() {
		fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
	}
	switch {
	case s.close:
		b.WriteString("Connection: close\r\n")
	case s.version == http10KeepAlive:
		b.WriteString("Connection: keep-alive\r\n")
	}
	content := strings.Repeat("b", s.body.size())
	switch s.body {
	case noBody:
	case chunkedBody:
		b.WriteString("Transfer-Encoding: chunked\r\n")
		content = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(content), content)
	default:
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(content))
	}
	b.WriteString("\r\n")
	return b.String(), content
}

// fields are those of a request on any protocol, in lower case.
func (s *state) fields() (fields [][2]string) {
	fields = append(fields, [2]string{strings.ToLower(numberField), fmt.Sprint(s.number)})
	if s.legacy {
		fields = append(fields, [2]string{"legacy", "1"})
	}
	if s.override {
		fields = append(fields, [2]string{strings.ToLower(overrideField), "POST"})
	}
	if s.expect {
		fields = append(fields, [2]string{"expect", "100-continue"})
	}
	return fields
}
