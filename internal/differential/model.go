package differential

import (
	"net/http"
	"slices"
	"strings"

	"github.com/politeclose/politeclose/core"
)

// model says what we have to do to a program of which it knows what it does
// without us. Its answers are asked for in the order of the requests.
//
// A final response over HTTP/1 is announced, and its connection closed, if and
// only if one of these is so at the time when its header leaves, in this order:
//
//  1. the connection was already to end: a sensitive route was found on it when
//     its own header had left
//  2. a drain has begun
//  3. its handler called CloseAfter, or one before it did when its header had left
//     or it was over, or it left a Connection field with close in it
//  4. its route or its path, or the route of a part, is sensitive
//  5. the client sent the field of OnMatch
//  6. its status is one of OnStatus
//  7. it is the connection's last by OnRequestCount, and not exempt
//
// A client that closes by its own word is asked no rule. A response that never
// left whole, a 101 and a hijacked connection announce nothing.
//
// Over HTTP/2 an announcement is a GOAWAY, which needs no header.
type model struct {
	e     *env // with us
	plain []*result
	known []*state // of the run without us

	draining    bool
	connections map[int]*connection
	verdicts    []verdict
}

// connection is what the model remembers of a connection.
type connection struct {
	requests int
	marked   bool // by a sensitive route whose response's header had left
	asked    bool // by a CloseAfter behind the header
	vague    bool // nobody can say whether it is one of these
}

// verdict is what has to become of one response.
type verdict struct {
	reason core.Reason // "" for no announcement
	vague  bool        // either is right
	other  bool        // it is announced in any case, perhaps for another reason
	shared bool        // net/http does the same by itself
}

const reasonLegacy core.Reason = "legacy"

func newModel(e *env, plain []*result, known []*state) *model {
	return &model{e: e, plain: plain, known: known, connections: make(map[int]*connection)}
}

// expects implements judge.
func (m *model) expects(number int, with []*result) bool {
	for i := len(m.verdicts); i <= number; i++ {
		m.verdicts = append(m.verdicts, m.judge(i, with[i]))
	}
	return m.verdicts[number].reason != "" && !m.verdicts[number].vague
}

// orders implements judge.
func (m *model) orders(number int) bool {
	v := m.verdicts[number]
	return v.reason != "" && !v.vague && !v.shared && m.e.p.served.lossless()
}

func (m *model) judge(number int, r *result) (v verdict) {
	c := m.connections[r.connection]
	if c == nil {
		c = new(connection)
		m.connections[r.connection] = c
	}
	c.requests++
	s, plain := m.known[number], m.plain[number]
	m.draining = m.draining || s.drainBefore
	// What happened before the header left, and what after.
	closeAfter := false
	after := *c
	drainingAfter := m.draining
	for _, e := range s.events {
		switch e.kind {
		case sawDrain:
			drainingAfter = true
			m.draining = m.draining || !e.late
		case sawResume:
			drainingAfter = false
			m.draining = m.draining && e.late
		case sawCloseAfter:
			if m.e.bottom.detached {
				continue
			}
			closeAfter = closeAfter || !e.late || m.e.p.http2 && m.e.p.served != untracked
			after.asked = after.asked || m.e.p.served != untracked
		case sawStrayCloseAfter:
			switch {
			case m.e.bottom.detached || m.e.p.served == untracked:
				// There is nothing that could remember it.
			case number+1 < len(m.known) && m.known[number+1].pipelined:
				after.vague = true // the next response may have left before
			default:
				after.asked = true
				closeAfter = closeAfter || m.e.p.http2
			}
		case sawOthersRoute:
			if c.requests > 1 { // the work is of the same connection
				c.vague, after.vague = true, true
			}
		case sawSensitive, sawRoute:
			switch {
			case !e.late || m.e.p.served == untracked:
			case e.kind == sawRoute && s.happenedEver(sawStuck):
				after.vague = true // a handler that was given up has no say
			default:
				after.marked = true
				closeAfter = closeAfter || m.e.p.http2
			}
		}
	}
	defer func() {
		// Nobody waits for the GOAWAY of what is vague: the next request may see it.
		after.vague = after.vague || v.vague && m.e.p.http2
		c.marked, c.asked, c.vague, m.draining = after.marked, after.asked, after.vague, drainingAfter
	}()
	if plain.response.Status == http.StatusSwitchingProtocols || s.clientCloses() || s.happened(sawHijack) {
		return verdict{}
	}
	v = m.decide(c, s, plain, closeAfter)
	switch {
	case !plain.final && m.e.p.http2:
		// It had a decision, and has marked its connection, if its header had been
		// written when it was aborted. Nobody knows with which status.
		return verdict{vague: v.reason != "" || after.vague || m.e.p.rules.statuses}
	case !plain.final:
		return verdict{}
	case v.reason == "" && (c.vague || after.vague && m.e.p.http2):
		return verdict{reason: core.ReasonRoute, vague: true}
	}
	v.other = v.other || c.vague
	return v
}

// decide asks the rules in their order.
func (m *model) decide(c *connection, s *state, plain *result, closeAfter bool) verdict {
	switch {
	case c.marked:
		return verdict{reason: core.ReasonRoute}
	case m.draining:
		return verdict{reason: core.ReasonDrain}
	case c.asked, closeAfter:
		return verdict{reason: core.ReasonHandler}
	case m.e.p.http2 && plain.goaway:
		return verdict{reason: core.ReasonHandler, shared: true}
	case wantsClose(plain.response.Connection):
		exact := slices.Equal(plain.response.Connection, []string{"close"})
		if exact && !m.asksClose(s) {
			// net/http closes by its own word, behind our decision.
			v := m.decideByRule(c, s, plain)
			v.shared = v.reason == "" || v.vague
			return v
		}
		return verdict{reason: core.ReasonHandler, shared: exact, other: m.mayTakeItBack(s)}
	case (m.e.p.http2 || s.version == http10KeepAlive) && m.asksClose(s):
		if m.e.p.http2 && !m.mayTakeItBack(s) {
			return verdict{reason: core.ReasonHandler}
		}
		if v := m.decideByRule(c, s, plain); v.reason != "" && !v.vague {
			v.other = true
			return v
		}
		return verdict{reason: core.ReasonHandler, vague: true}
	}
	return m.decideByRule(c, s, plain)
}

// decideByRule asks the rules that the options of core.New make.
func (m *model) decideByRule(c *connection, s *state, plain *result) verdict {
	switch {
	case m.sensitive(s):
		return verdict{reason: core.ReasonRoute}
	case s.legacy && m.e.p.rules.match:
		return verdict{reason: reasonLegacy}
	case m.e.p.rules.statuses && slices.Contains([]int{403, 503}, plain.response.Status):
		return verdict{reason: core.ReasonStatus}
	case m.usedUp(c) && !(m.e.p.rules.exempt && s.path == exemptRoute):
		return verdict{reason: core.ReasonRequests, vague: m.e.p.rules.exempt && s.happened(sawHealth) ||
			m.e.p.rules.route != "" && s.happened(sawHiddenRoute)}
	case m.e.p.rules.route != "" && (s.happened(sawHiddenRoute) || s.happened(sawRoute)):
		return verdict{reason: core.ReasonRoute, vague: true}
	}
	return verdict{}
}

// asksClose is for what net/http takes off a response by itself. A cache may
// replay what another request's handler left, also when its header had gone.
func (m *model) asksClose(s *state) bool {
	if m.e.bottom.detached {
		return false
	}
	return s.happened(sawAsksClose) || len(m.e.caches) > 0 && slices.ContainsFunc(m.known, func(s *state) bool { return s.happenedEver(sawAsksClose) })
}

// mayTakeItBack is for a close that a handler has asked for: whether it is the
// last word of whoever writes the response.
func (m *model) mayTakeItBack(s *state) bool {
	return s.dies() || s.happened(sawAsksKeep) || s.happened(sawStuck) || len(m.e.caches) > 0
}

func (m *model) sensitive(s *state) bool {
	rules := m.e.p.rules
	return s.happened(sawSensitive) || rules.route != "" && (s.happened(sawRoute) && !s.happened(sawStuck) ||
		slices.Contains(sensitivePaths, s.path) && rules.sensitiveMethod(s.method))
}

func (m *model) usedUp(c *connection) bool {
	limit := m.e.p.rules.count
	return limit > 0 && c.requests >= limit && m.e.p.served != untracked
}

func wantsClose(values []string) bool {
	for _, v := range values {
		for option := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "close") {
				return true
			}
		}
	}
	return false
}

// count holds the statistics to what happened.
func (m *model) count(with []*result) {
	t, e := m.e.t, m.e
	exchanges, byClient, byClientAtMost := uint64(0), uint64(0), uint64(0)
	for i, s := range e.states {
		exchanges += uint64(s.handed)
		// No handler sees OPTIONS *, unless net/http takes the rest of a body that
		// was replaced for a part of its method.
		if s.path == "*" && s.handed == 0 && with[i].final {
			exchanges++
		}
		if s.clientCloses() && with[i].response.Status != 101 && !s.happened(sawHijack) {
			byClientAtMost++
			if with[i].final {
				byClient++
			}
		}
	}
	stats := e.ctl.Stats()
	if stats.Exchanges != exchanges {
		t.Errorf("%d exchanges were counted for %d requests", stats.Exchanges, exchanges)
	}
	if want := exchanges; e.p.served == untracked && !e.strays() && stats.Untracked != want {
		t.Errorf("%d exchanges were counted as untracked, not %d", stats.Untracked, want)
	}
	if e.p.served != untracked && stats.Untracked != 0 {
		t.Errorf("%d exchanges had no connection record", stats.Untracked)
	}
	if n := stats.ClientInitiated; (n < byClient || n > byClientAtMost) && !slices.ContainsFunc(e.states, func(s *state) bool { return s.send == abandoned }) {
		t.Errorf("%d connections were counted as closed by their clients, not %d", stats.ClientInitiated, byClient)
	}
}

// countCloses holds the announced closes to their reasons. On HTTP/2 many responses
// may announce one.
func (m *model) countCloses(with []*result) {
	if m.e.p.http2 {
		return
	}
	least, most := make(map[core.Reason]uint64), make(map[core.Reason]uint64)
	atMost := func(reasons ...core.Reason) {
		for _, reason := range reasons {
			most[reason]++
		}
	}
	exactly := func(reason core.Reason) {
		least[reason]++
		most[reason]++
	}
	for i, v := range m.verdicts {
		switch {
		case v.vague, v.other, m.known[i].send == abandoned, m.known[i].happened(sawStuck), v.reason == "" && !with[i].final:
			// A response that did not come may have left in part.
			atMost(core.ReasonDrain, core.ReasonHandler, core.ReasonRoute, core.ReasonRequests, reasonLegacy, core.ReasonStatus)
		case v.reason != "":
			exactly(v.reason)
		}
	}
	if m.e.last {
		switch c := m.connections[with[len(with)-1].connection]; {
		case c.marked:
			exactly(core.ReasonRoute)
		case c.vague:
			atMost(core.ReasonDrain, core.ReasonRoute)
		default:
			exactly(core.ReasonDrain)
		}
	}
	for reason, n := range m.e.ctl.Stats().Closes {
		if n < least[reason] || n > most[reason] {
			m.e.t.Errorf("%d closes were counted for %s, not %d", n, reason, least[reason])
		}
	}
}

// strays reports whether work goes on after its request.
func (e *env) strays() bool {
	return slices.ContainsFunc(e.states, func(s *state) bool {
		return slices.ContainsFunc(s.script, func(i int) bool { return ops[i].strays })
	})
}

// end waits until nothing is left of a run.
func (m *model) end() {
	t, e := m.e.t, m.e
	eventually(t, "no connection, no exchange", func() bool {
		s := e.ctl.Stats()
		return s.InFlight == 0 && s.Open == 0 && s.Active == 0 && s.Idle == 0 && s.Hijacked == 0
	})
	if !e.p.served.lossless() {
		// Of a connection that a handler took over nobody knows when it ends.
		e.drain()
	}
	for _, k := range e.kept {
		select {
		case <-k.left:
		default:
			receive(t, "a Leaving channel is closed when its request is over", k.left)
		}
	}
}
