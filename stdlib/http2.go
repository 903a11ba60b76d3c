package stdlib

import (
	"errors"
	"net/http"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib/internal/goaway"
)

// Where HTTP/2 goes past us.
const (
	http2Configured = "HTTP/2 was turned on after stdlib.Track, by golang.org/x/net/http2.ConfigureServer or in http.Server.Protocols, and goes past us: " +
		"a connection ends with a single GOAWAY, which can cost a request; set Protocols before Track, and configure HTTP/2 with http.Server.HTTP2"
	http2Unknown = "net/http of this Go release serves HTTP/2 in a way that politeclose does not know: " +
		"a connection ends with a single GOAWAY, which can cost a request; ask for a newer politeclose"
)

// installHTTP2 makes HTTP/2 connections end with two GOAWAYs.
func (t *tracker) installHTTP2(srv *http.Server) error {
	err := goaway.Install(srv, t.openHTTP2, t.lostHTTP2)
	if errors.Is(err, goaway.ErrUnknownRelease) {
		t.lostHTTP2(err)
		return nil
	}
	return err
}

func (t *tracker) lostHTTP2(err error) {
	cause := http2Configured
	if errors.Is(err, goaway.ErrUnknownRelease) {
		cause = http2Unknown
	}
	t.ctl.Impair(cause)
}

func (t *tracker) openHTTP2(c *goaway.Conn) {
	r := t.find(c.NetConn())
	if r == nil {
		return
	}
	r.AnnounceWith(func(reason core.Reason) { c.Announce(string(reason)) })
	r.http2.Store(c)
	// Who comes while the listener is open has nowhere else to go, and is told
	// with the first response.
	if r.tally.watching() {
		r.tally.newHTTP2.Store(true)
		r.tally.notify()
	}
}
