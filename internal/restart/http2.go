package restart

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"regexp"
	"sync/atomic"
)

func (c Config) streams() int {
	switch {
	case c.Streams > 0:
		return c.Streams
	case c.HTTP2:
		return DefaultStreams
	default:
		return 1
	}
}

// serverProtocols are those of a server that also speaks HTTP/1.1, as most do.
func (c Config) serverProtocols() *http.Protocols {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(c.HTTP2 && c.TLS)
	protocols.SetUnencryptedHTTP2(c.HTTP2 && !c.TLS)
	return protocols
}

// clientProtocols leave no choice.
func (c Config) clientProtocols() *http.Protocols {
	protocols := c.serverProtocols()
	protocols.SetHTTP1(!c.HTTP2)
	return protocols
}

// outgoing is a request's body, and knows whether any of the request may have gone
// out. Over HTTP/2 a failed request need not: it may have waited for its turn on a
// connection that was told to end, and Go's client then does not send it elsewhere
// by itself (go.dev/issue/62450).
//
// The reader is hidden, or http.NewRequest would set GetBody and with it allow the
// transport to send the request a second time.
type outgoing struct {
	reader io.Reader
	begun  atomic.Bool
}

func (o *outgoing) Read(p []byte) (int, error) {
	o.begun.Store(true)
	return o.reader.Read(p)
}

// trace makes the header count as well.
func (o *outgoing) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { o.begun.Store(true) }})
}

// streamNumber is in the texts of net/http's HTTP/2 errors.
var streamNumber = regexp.MustCompile(`(LastStreamID=|stream ID )\d+`)
