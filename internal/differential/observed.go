package differential

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// compare holds what the client saw with us to what it saw without us.
func (m *model) compare(with []*result) {
	m.expects(len(with)-1, with) // so that there is a verdict for each
	for i, got := range with {
		if s := m.known[i]; s.send != abandoned || s.answered.sent() && m.e.states[i].answered.sent() {
			m.compareOne(i, m.plain[i], got, m.verdicts[i])
		}
	}
}

func (m *model) compareOne(i int, want, got *result, v verdict) {
	t, s := m.e.t, m.known[i]
	if got.final != want.final {
		t.Errorf("request %d: there was a response: %v, and without us: %v", i, got.final, want.final)
		return
	}
	if g, w := transcript(got), transcript(want); g != w {
		t.Errorf("request %d: the response was\n%s\nand without us\n%s", i, g, w)
	}
	if got.response.Header["Keep-Alive"] != nil && (slices.Contains(got.response.Connection, "close") || got.response.Status == 101) {
		t.Errorf("request %d: Keep-Alive: %q beside Connection: %q", i, got.response.Header["Keep-Alive"], got.response.Connection)
	}
	for _, h := range got.response.Informational {
		if h["Keep-Alive"] != nil {
			t.Errorf("request %d: a 1xx response has Keep-Alive: %q", i, h["Keep-Alive"])
		}
		if h["Connection"] != nil || h["connection"] != nil {
			t.Errorf("request %d: a 1xx response has a Connection field: %v", i, h)
		}
	}
	if !want.final {
		if got.goaway && !want.goaway && !m.groupHasReason(i) {
			t.Errorf("request %d: a GOAWAY for a stream that was aborted, and there is no reason", i)
		}
		return
	}
	announced := got.goaway
	if !m.e.p.http2 {
		announced = slices.Equal(got.response.Connection, []string{"close"})
	} else if got.response.Connection != nil {
		t.Errorf("request %d: connection: %q was sent over HTTP/2", i, got.response.Connection)
	}
	// An access log is written before what comes when the request is over.
	if said := m.e.states[i].announced; said != nil && *said != announced && m.e.ctl != nil && !m.grouped(i) && !s.happenedEver(sawStrayCloseAfter) &&
		got.response.Status != 101 && !s.happened(sawHijack) && !s.clientCloses() && v.reason != "" == announced && !v.vague && !v.shared {
		t.Errorf("request %d: Announced says %v", i, *said)
	}
	switch last := i == len(m.known)-1; {
	case v.vague && announced:
	case m.e.concurrent && m.grouped(i):
		// The GOAWAY is for all streams of the group; that it came is waited for.
		if got.goaway && !want.goaway && !m.groupHasReason(i) {
			t.Errorf("request %d: a GOAWAY, and there is no reason in its group", i)
		}
	case s.clientCloses() && !s.happened(sawHijack):
		if c := got.response.Connection; c != nil && !announced && !slices.Equal(c, want.response.Connection) {
			t.Errorf("request %d: the client closes, and Connection is %q", i, c)
		}
	case v.reason != "" && !v.vague:
		if !announced {
			t.Errorf("request %d: not announced, Connection is %q; there is a reason: %s", i, got.response.Connection, v.reason)
		}
	case !slices.Equal(got.response.Connection, want.response.Connection) && !m.e.p.http2:
		t.Errorf("request %d: Connection is %q, and without us %q; there is no reason", i, got.response.Connection, want.response.Connection)
	case got.goaway && !want.goaway:
		t.Errorf("request %d: a GOAWAY, and there is no reason", i)
	case v.vague && m.e.p.http2 && got.kept:
		// The GOAWAY comes only after a quiet moment, for which nobody waited.
	case !last && got.kept != want.kept:
		t.Errorf("request %d: the connection was kept: %v, and without us: %v", i, got.kept, want.kept)
	}
}

// grouped reports whether a request was sent together with another one.
func (m *model) grouped(i int) bool {
	return m.known[i].pipelined || i+1 < len(m.known) && m.known[i+1].pipelined
}

// groupHasReason reports whether one of the requests that were sent together with
// this one announces, or may.
func (m *model) groupHasReason(i int) bool {
	from, to := i, i+1
	for m.known[from].pipelined {
		from--
	}
	for to < len(m.known) && m.known[to].pipelined {
		to++
	}
	return slices.ContainsFunc(m.verdicts[from:to], func(v verdict) bool { return v.reason != "" || v.vague })
}

// transcript is a response without what an announcement changes.
func transcript(r *result) string {
	var b strings.Builder
	strip := func(h http.Header) http.Header {
		h = h.Clone()
		delete(h, "Connection")
		delete(h, "connection")
		delete(h, "date")
		delete(h, "Keep-Alive")
		return h
	}
	for _, h := range r.response.Informational {
		b.WriteString("1xx " + dump(strip(h)) + "\n")
	}
	b.WriteString(r.response.Proto + " " + http.StatusText(r.response.Status) + " " + dump(strip(r.response.Header)) + "\n")
	b.WriteString(shorten(r.response.Body) + "\ntrailer " + dump(r.response.Trailer) + "\nthen " + shorten(r.rest))
	if r.response.Truncated != nil {
		b.WriteString("\ncut off")
	}
	return b.String()
}

func shorten(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%q … %q (%d bytes, %x)", s[:50], s[len(s)-50:], len(s), sha256.Sum256([]byte(s)))
	}
	return s
}

// compareRuns holds what the handlers saw, what the caches keep and what the
// server said to what they do without us.
func compareRuns(with, without *env) {
	t := with.t
	for i, s := range with.states {
		if s.send == abandoned {
			continue
		}
		if want := without.states[i]; !slices.Equal(s.log, want.log) {
			t.Errorf("request %d: the handlers saw\n%s\nand without us\n%s", i, strings.Join(s.log, "\n"), strings.Join(want.log, "\n"))
		}
	}
	if got, want := with.cacheContents(), without.cacheContents(); got != want {
		t.Errorf("the caches keep\n%s\nand without us\n%s", got, want)
	}
	abandons := slices.ContainsFunc(with.states, func(s *state) bool { return s.send == abandoned })
	if got, want := with.said(), without.said(); !slices.Equal(got, want) && !abandons {
		t.Errorf("the server said\n%s\nand without us\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
