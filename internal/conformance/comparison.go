package conformance

import (
	"slices"
	"testing"

	"github.com/politeclose/politeclose/core"
)

// comparison is between a program with us and the same one without.
type comparison struct {
	bare, ours *server
	protocol   protocol
	arrangement
}

// observation is what a client sees of one cell.
type observation struct {
	first  answer
	second answer // to another request on the same connection, where that was not to end
	left   error  // nil where the server ended the connection unasked, where it was to
	goaway bool
	before core.Stats
}

func (o observation) survived() bool { return o.first.whole && o.second.final }

// reusable reports whether another cell may use the same connection.
func (o observation) reusable() bool {
	return o.survived() && !o.goaway && !slices.Contains(o.second.connection, "close")
}

// observe sends the cell's request to s, and then either waits for the
// connection's end or tries it with another request.
func (x comparison) observe(t *testing.T, s *server, c cell, asking, closes bool) (o observation) {
	t.Helper()
	if s.ctl != nil {
		o.before = s.ctl.Stats()
	}
	client := s.borrow(x.protocol)
	defer func() { s.giveBack(x.protocol, client, o.reusable()) }()

	request := c.request
	if x.layer == Gzip && request.then == nil { // echo's Gzip keeps a 101 back for ever
		request = request.with("Accept-Encoding", "gzip")
	}
	if asking {
		request = request.with(askHeader, "yes")
	}
	o.first = client.do(request)
	if closes || x.protocol.clientCloses {
		o.left = client.leaving()
	} else if o.first.whole && !client.announced() {
		o.second = client.do(again)
	}
	o.goaway = client.announced()
	return o
}

// unchanged compares everything but the announcement.
func (x comparison) unchanged(t *testing.T, want, got observation) {
	t.Helper()
	if got.first.transcript != want.first.transcript {
		t.Errorf("the response was\n%s\nand without us it is\n%s", shorten(got.first.transcript), shorten(want.first.transcript))
	}
	if got.first.whole != want.first.whole {
		t.Errorf("the response was whole: %v, and without us: %v", got.first.whole, want.first.whole)
	}
}

func (x comparison) closed(t *testing.T, want, got observation) {
	t.Helper()
	if hints := got.first.hintsConnection; hints != nil {
		t.Errorf("the 1xx response had Connection: %q", hints)
	}
	switch {
	case x.protocol.http2:
		if got.first.connection != nil {
			t.Errorf("connection: %q was sent over HTTP/2", got.first.connection)
		}
		if !got.goaway {
			t.Errorf("no GOAWAY: %v", got.left)
		}
	case !slices.Equal(got.first.connection, []string{"close"}):
		t.Errorf("Connection was %q, not exactly close", got.first.connection)
	case got.left != nil && want.first.whole: // a response cut off may end in a reset
		t.Errorf("the connection was announced as closing and did not: %v", got.left)
	}
}

func (x comparison) kept(t *testing.T, c cell, want, got observation, asked bool) {
	t.Helper()
	if hints := got.first.hintsConnection; hints != nil {
		t.Errorf("a 1xx response had Connection: %q", hints)
	}
	if x.protocol.clientCloses {
		if c.bareCloses {
			return
		}
		if !slices.Equal(got.first.connection, want.first.connection) && !slices.Equal(got.first.connection, []string{"close"}) {
			t.Errorf("Connection was %q, and without us it is %q", got.first.connection, want.first.connection)
		}
		if got.left != nil && want.left == nil {
			t.Errorf("the client closed, and the server did not: %v", got.left)
		}
		return
	}
	if c.bareCloses && !want.survived() {
		// The one thing that a wrapped writer takes away (go.dev/issue/73754):
		// the body left unread closes the connection, or nothing does.
		if !got.survived() || slices.Contains(got.first.connection, "close") {
			t.Errorf("the connection was closed; Connection: %q", got.first.connection)
		}
		return
	}
	if !slices.Equal(got.first.connection, want.first.connection) {
		t.Errorf("Connection was %q, and without us it is %q", got.first.connection, want.first.connection)
	}
	if asked && got.goaway && x.protocol.http2 {
		return // a GOAWAY needs no response to go with, and the connection ends
	}
	if got.survived() != want.survived() {
		t.Errorf("the connection could be used again: %v, and without us: %v", got.survived(), want.survived())
	}
	if got.goaway != want.goaway {
		t.Errorf("a GOAWAY was sent: %v, and without us: %v", got.goaway, want.goaway)
	}
	if got.second.transcript != want.second.transcript && !x.hurried() {
		t.Errorf("the next response was\n%s\nand without us it is\n%s", got.second.transcript, want.second.transcript)
	}
}

// counted holds the statistics to one exchange per request, however often the
// middleware is installed, and to one close per announcement.
func (x comparison) counted(t *testing.T, c cell, want, got observation, closes bool) {
	t.Helper()
	exchanges := uint64(1)
	if got.survived() {
		exchanges++
	}
	stats := x.ours.ctl.Stats
	grown := settle(func() int64 { return int64(stats().Exchanges - got.before.Exchanges) }, int64(exchanges))
	if grown != int64(exchanges) {
		t.Errorf("%d exchanges were counted for %d requests", grown, exchanges)
	}
	if n := settle(func() int64 { return int64(stats().InFlight) }, 0); n != 0 {
		t.Errorf("%d exchanges are still in flight", n)
	}
	if n := stats().Untracked; n != 0 {
		t.Errorf("%d exchanges had no connection record", n)
	}
	if !want.first.final {
		return
	}
	counts := map[core.Reason]uint64{}
	if closes && c.asks {
		counts[core.ReasonHandler] = 1
	} else if closes {
		counts[reasonAsked] = 1
	}
	after := stats()
	for reason, n := range after.Closes {
		if grown := n - got.before.Closes[reason]; grown != counts[reason] {
			t.Errorf("%d closes were counted for the reason %q, not %d", grown, reason, counts[reason])
		}
	}
	if grown := after.ClientInitiated > got.before.ClientInitiated; grown != x.protocol.clientCloses {
		t.Errorf("a close by the client was counted: %v", grown)
	}
}

func shorten(s string) string {
	if len(s) > 2000 {
		return s[:1000] + "\n…\n" + s[len(s)-1000:]
	}
	return s
}
