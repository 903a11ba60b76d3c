package core

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/politeclose/politeclose/core/internal/leaving"
)

// scoped is an exchange that the context of its request knows: a stream, which
// shares every value of its connection with other streams, or one whose
// connection has no record. What a record would remember it remembers itself.
type scoped struct {
	Exchange
	more
	context.Context
	protocol protocol
	asked    atomic.Uint32 // CloseAfter's reasonIndex, without a record
	leaving  atomic.Pointer[leaving.Channel]
}

func newScoped(k kind, c *Controller, r *http.Request) *scoped {
	s := &scoped{Context: r.Context(), protocol: protocolOf(r.ProtoMajor, r.ProtoMinor)}
	s.more = more{ctl: c, scope: s, given: r, method: r.Method, host: r.Host}
	s.Exchange.kind, s.Exchange.more, s.Exchange.context = k, &s.more, s.Context
	s.look(c, r)
	s.request = r.WithContext(s)
	return s
}

// beginStream begins the exchange of an HTTP/2 stream.
func (c *Connection) beginStream(r *http.Request) (*http.Request, *Exchange) {
	s := newScoped(streamKind, c.ctl, r)
	s.conn = c
	c.count(r)
	return s.request, &s.Exchange
}

// beginLone begins an exchange whose connection has no record.
func (c *Controller) beginLone(r *http.Request) (*http.Request, *Exchange) {
	s := newScoped(loneKind, c, r)
	c.untracked.Add(1)
	c.shard(nil).Begun.Add(1)
	return s.request, &s.Exchange
}

func (c *Controller) sayUntracked() {
	c.untrackedSaid.Do(func() {
		c.logger.Warn("politeclose: a request came over a connection without a record: " +
			"age and request count cannot end it, and a share of the load or of a spread drain falls on responses; " +
			"give the server to stdlib.Track or stdlib.Serve. This is said once; Stats counts them")
	})
}

func (c *Controller) sayForeign() {
	c.foreignSaid.Do(func() {
		c.logger.Warn("politeclose: a request of one Controller came to a middleware of another one: " +
			"both decide, and the second one does not know the connection; give the server and its middleware the same Controller. " +
			"This is said once; Stats.Untracked counts them")
	})
}

// end is what the end of a scoped exchange has to do beside the others'.
func (s *scoped) end() {
	// net/http removes the files of a form that it knows of.
	if s.given.MultipartForm == nil {
		s.given.MultipartForm = s.request.MultipartForm
	}
	s.endLeaving()
}

func (s *scoped) Value(key any) any {
	if key == (contextKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// decider returns the exchange that decides for s: itself, or the one that it
// turned out to be part of.
func (s *scoped) decider() *Exchange {
	if s.kind == partKind {
		return s.more.owner
	}
	return &s.Exchange
}
