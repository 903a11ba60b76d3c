package stdlib

import (
	"net"
	"time"
)

func (c *conn) SetDeadline(t time.Time) error {
	return c.setDeadline(t, connNoReadDeadline|connNoWriteDeadline, (*net.TCPConn).SetDeadline)
}

func (c *conn) SetReadDeadline(t time.Time) error {
	if c.changesNothing(t, connNoReadDeadline) {
		return nil
	}
	return c.setDeadline(t, connNoReadDeadline, (*net.TCPConn).SetReadDeadline)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	if c.changesNothing(t, connNoWriteDeadline) {
		return nil
	}
	return c.setDeadline(t, connNoWriteDeadline, (*net.TCPConn).SetWriteDeadline)
}

// changesNothing reports whether the call would clear a deadline where none is set.
// For each request net/http clears four that a server without timeouts never sets,
// which takes 1 % of the time of a small request if the poller is told.
func (c *conn) changesNothing(t time.Time, none uint32) bool {
	return t.IsZero() && c.bits.Load()&(none|connClosed) == none
}

// setDeadline leaves the deadline of a lingering connection alone: net/http sets
// one after the StateIdle hook, in which the connection may have been closed.
//
// Two calls may meet: the bit that says that there is no deadline is set before one
// is cleared and taken back after one is set, so that it never stands beside a
// deadline whose setter has returned.
func (c *conn) setDeadline(t time.Time, none uint32, set func(*net.TCPConn, time.Time) error) error {
	if c.closed() {
		return net.ErrClosed
	}
	if t.IsZero() {
		c.bits.Or(none)
		return set(c.TCPConn, t)
	}
	err := set(c.TCPConn, t)
	if c.bits.Load()&none != 0 {
		c.bits.And(^none)
	}
	return err
}
