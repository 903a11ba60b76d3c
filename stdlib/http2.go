package stdlib

import (
	"errors"
	"net/http"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib/internal/goaway"
)

// installHTTP2 makes HTTP/2 connections end with two GOAWAYs. Where this cannot be,
// they end with net/http's own one, and package core says so with the first
// request on one of them.
func (t *tracker) installHTTP2(srv *http.Server) error {
	err := goaway.Install(srv, t.openHTTP2)
	if errors.Is(err, goaway.ErrUnknownRelease) {
		return nil
	}
	return err
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
