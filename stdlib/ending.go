package stdlib

import (
	"errors"
	"io"
	"net"
	"os"

	"github.com/politeclose/politeclose/core"
)

// seeRead notes what a read says of how the connection ends. The first end that is
// seen counts: after a reset the socket reads like one that the client has closed,
// and a client that has said goodbye over TLS may reset.
func (c *conn) seeRead(p []byte, err error) {
	switch bits := c.bits.Load(); {
	case err == nil && c.endsWithGoodbye(p):
		c.bits.Or(connEnded) // TLS ends here, and does not read the socket's own end
	case err == nil && bits&connEnded != 0:
		c.bits.And(^uint32(connEnded)) // it only looked like that
	case err == nil, bits&(connEnded|connBroken) != 0, isTimeout(err):
	case errors.Is(err, io.EOF):
		c.bits.Or(connEnded)
	case !errors.Is(err, net.ErrClosed):
		c.bits.Or(connBroken)
	}
}

// isTimeout is errors.Is(err, os.ErrDeadlineExceeded) for what TCPConn.Read returns,
// without a walk along the error: net/http ends the read that waits beside a handler
// by a deadline, for every request. What the kernel gives up by a timeout of its own
// (ETIMEDOUT) is another error.
func isTimeout(err error) bool {
	op, ok := err.(*net.OpError) //nolint:errorlint // nobody has wrapped it
	return ok && op.Err == os.ErrDeadlineExceeded
}

// endsWithGoodbye is saysGoodbye also where something came before, such as the end
// of the handshake of a client that wants nothing.
func (c *conn) endsWithGoodbye(p []byte) bool {
	return c.saysGoodbye(p) || len(p) > goodbyeLength && c.saysGoodbye(p[len(p)-goodbyeLength:])
}

// ending returns what is known of how the connection ended.
func (r *record) ending() core.How {
	switch gone := r.gone.Load(); {
	case gone&wasForced != 0:
		return core.HowForced
	case gone&isClosing != 0:
		return core.HowIdle
	}
	own := ownConn(r.Conn())
	if own == nil {
		return core.HowUnknown
	}
	switch bits := own.bits.Load(); {
	case bits&connEnded != 0:
		return core.HowClient
	case bits&connBroken != 0:
		return core.HowError
	}
	return ""
}
