package fleetsim

import (
	"context"
	"net/http"
	"net/url"

	"github.com/politeclose/politeclose/core"
)

// client has one connection, or none until its next request.
type client struct {
	replica *replica // nil while there is no connection
	conn    core.Connection
	asks    http.Request
}

var target = &url.URL{Path: "/"}

func (c *client) init() {
	r := &http.Request{Method: http.MethodGet, URL: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody}
	c.asks = *r.WithContext(c.conn.Context(context.Background()))
}

func (c *client) connect(w *world) {
	c.replica = w.balancer.choose()
	c.replica.connections++
	c.conn = core.Connection{}
	c.conn.Open(c.replica.ctl, nil)
}

// request is one exchange, as net/http would make it.
func (c *client) request(w *world) {
	if c.replica == nil {
		c.connect(w)
		w.book.moves++
	}
	c.conn.SetState(http.StateActive)
	_, exchange := c.replica.ctl.Begin(&c.asks)
	clear(w.book.header)
	exchange.Commit(w.book.header, http.StatusOK)
	exchange.End()
	if c.conn.SetState(http.StateIdle) {
		w.book.closed(c.replica)
		c.disconnect()
	}
}

// disconnect ends the connection. The client learns it, or has been told.
func (c *client) disconnect() {
	c.conn.SetState(http.StateClosed)
	c.replica.connections--
	c.replica = nil
}
