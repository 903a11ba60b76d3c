package stdlib

import (
	"net"
	"time"
)

func (c *conn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, connNoReadDeadline|connNoWriteDeadline, (*net.TCPConn).SetDeadline)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(t, connNoReadDeadline, (*net.TCPConn).SetReadDeadline)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(t, connNoWriteDeadline, (*net.TCPConn).SetWriteDeadline)
}

// setDeadline leaves the deadline of a lingering connection alone: net/http sets
// one after the StateIdle hook, in which the connection may have been closed.
//
// And it spares the poller what changes nothing. For each request net/http clears
// four deadlines that a server without timeouts never sets, which takes 1 % of the
// time of a small request. Two calls may meet: the bit is set before a deadline is
// cleared and taken back after one is set, so that it never stands beside a deadline
// whose setter has returned.
func (c *conn) setDeadline(t time.Time, none uint32, set func(*net.TCPConn, time.Time) error) error {
	bits := c.bits.Load()
	switch {
	case bits&connClosed != 0:
		return net.ErrClosed
	case !t.IsZero():
		err := set(c.TCPConn, t)
		if c.bits.Load()&none != 0 {
			c.bits.And(^none)
		}
		return err
	case bits&none == none:
		return nil
	}
	c.bits.Or(none)
	return set(c.TCPConn, t)
}
