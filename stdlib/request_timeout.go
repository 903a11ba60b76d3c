package stdlib

import (
	"io"
	"net"
	"net/http"
	"time"
)

// canBeAnswered reports whether a 408 may be written on a silent connection:
// where it is known to speak HTTP/1, or may still turn out to, and where net/http
// reports what becomes of it. A TLS connection that has had no request may be
// within its handshake, or about to speak HTTP/2.
func (r *record) canBeAnswered() bool {
	own := ownConn(r.Conn())
	return own != nil && !own.closed() && r.gone.Load()&wasNew != 0 &&
		(r.HTTP1() || r.Conn() == net.Conn(own))
}

// told reports whether the client knows of the close, by an announcement or by the
// answer at the idle grace.
func (r *record) told() bool {
	announced, _ := r.Announced()
	own := ownConn(r.Conn())
	return announced || own != nil && own.bits.Load()&connAnswered != 0
}

// answerTimeout bounds what nobody waits for. crypto/tls has the same for its
// goodbye.
const answerTimeout = 5 * time.Second

// closeWithRequestTimeout closes a retired connection in the background, with an
// answer to whatever the client is sending:
//
//  1. Close and Read of whoever else has the connection do nothing from now on, so
//     that nobody closes it before the answer is written, and a request that
//     crosses it is read by nobody.
//  2. The answer is written, and TLS says goodbye.
//  3. The close lingers, as it does behind any announcement: a reset would destroy
//     the answer for the client whose request crossed it, and for no other.
func (r *record) closeWithRequestTimeout() {
	own := ownConn(r.Conn())
	if own.bits.Or(connClosed|connAnswered)&connClosed != 0 {
		return // net/http had reasons of its own
	}
	r.gone.Or(isClosing)
	go func() {
		_ = own.TCPConn.SetWriteDeadline(time.Now().Add(answerTimeout))
		if _, err := io.WriteString(r.Conn(), requestTimeout(time.Now())); err != nil {
			own.bits.And(^uint32(connAnswered)) // it was not, and nothing is to linger for
		} else if r.Conn() != net.Conn(own) {
			r.Conn().Close() // which closes nothing, and says goodbye
		}
		own.close()
	}()
}

// requestTimeout is the answer. RFC 9110 §6.6.1 wants the date in it.
func requestTimeout(now time.Time) string {
	return "HTTP/1.1 408 Request Timeout\r\n" +
		"Date: " + now.UTC().Format(http.TimeFormat) + "\r\n" +
		"Content-Length: 0\r\n" +
		"Connection: close\r\n\r\n"
}
