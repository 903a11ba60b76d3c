package core

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"unicode/utf8"

	"github.com/politeclose/politeclose/core/internal/callback"
	"github.com/politeclose/politeclose/core/internal/pattern"
)

// Reason says why a connection had to end. It is a key of [Stats.Closes] and
// meant to be a metric's label: the set is fixed when [New] returns.
type Reason string

// The reasons that the rules of this package give, in the order in which the
// rules are asked. [OnMatch] declares others.
const (
	ReasonDrain    Reason = "drain"    // Controller.Drain or DrainWhen
	ReasonHandler  Reason = "handler"  // CloseAfter, or a Connection header with "close" left by the handler
	ReasonRoute    Reason = "route"    // OnRoutes, or an adapter's Sensitive
	ReasonClient   Reason = "client"   // OnMatch, unless it names its own
	ReasonStatus   Reason = "status"   // OnStatus
	ReasonAge      Reason = "age"      // OnAge
	ReasonRequests Reason = "requests" // OnRequestCount
	ReasonLoad     Reason = "load"     // OnLoad
	ReasonExcess   Reason = "excess"   // OnExcess
)

// reasonIndex is a Reason as it is stored on a connection: one plus its place
// in Controller.reasons, so that zero is none. It fits in seven bits.
type reasonIndex uint32

const (
	drainIndex reasonIndex = iota + 1
	handlerIndex
	routeIndex
	clientIndex
	statusIndex
	ageIndex
	requestsIndex
	loadIndex
	excessIndex
)

const maxReasons = 0x7f

// errNotUTF8 is what is wrong with a name that Prometheus would refuse as the
// value of a label.
var errNotUTF8 = errors.New("not allowed, since it is the value of a metric's label; it must be valid UTF-8")

var builtinReasons = []Reason{
	ReasonDrain, ReasonHandler, ReasonRoute, ReasonClient,
	ReasonStatus, ReasonAge, ReasonRequests, ReasonLoad, ReasonExcess,
}

// reasons are those of a Controller, in the order of their reasonIndex.
type reasons []Reason

// declare returns the index of a reason that an option names, adding it if it
// is new.
func (rs *reasons) declare(r Reason) (reasonIndex, error) {
	if r == "" {
		return 0, fmt.Errorf("OnMatch: the reason is empty; name one, such as core.ReasonClient or %q", "legacy")
	}
	if !utf8.ValidString(string(r)) {
		return 0, fmt.Errorf("OnMatch: the reason %q is %w", r, errNotUTF8)
	}
	if i := slices.Index(*rs, r); i >= 0 {
		if i < len(builtinReasons) && r != ReasonClient {
			return 0, fmt.Errorf("OnMatch: the reason %q belongs to another rule; use core.ReasonClient or a name of your own", r)
		}
		return reasonIndex(i + 1), nil
	}
	if len(*rs) == maxReasons {
		return 0, fmt.Errorf("OnMatch: %q is one reason too many; at most %d can be declared", r, maxReasons-len(builtinReasons))
	}
	*rs = append(*rs, r)
	return reasonIndex(len(*rs)), nil
}

// ruleSet tells which kinds of rules a Controller has, so that an exchange
// passes over the others without a look at their data.
type ruleSet uint16

const (
	hasRoutes ruleSet = 1 << iota
	hasExempt
	hasMatch
	hasStatus
	hasAge
	hasRequestCount
	hasLoad
	hasExcess
	hasFlag
	byMethod // a pattern has a method or a host
	byHost

	needsRoute = hasRoutes | hasExempt
	needsClock = hasAge | hasLoad | hasFlag
	voluntary  = hasAge | hasRequestCount | hasLoad | hasExcess
)

func (c *config) rules() (rules ruleSet) {
	for _, r := range []struct {
		given bool
		rule  ruleSet
	}{
		{!c.routes.Empty(), hasRoutes},
		{!c.exempt.Empty(), hasExempt},
		{len(c.matches) > 0, hasMatch},
		{c.statuses != statusSet{}, hasStatus},
		{c.maxAge > 0, hasAge},
		{c.maxRequests > 0, hasRequestCount},
		{len(c.signals) > 0, hasLoad},
		{c.fairShare != nil, hasExcess},
		{len(c.flags) > 0, hasFlag},
		{c.routes.Conditional() || c.exempt.Conditional(), byMethod},
		{c.routes.ByHost() || c.exempt.ByHost(), byHost},
	} {
		if r.given {
			rules |= r.rule
		}
	}
	return rules
}

// requestOf returns what patterns ask about a request. A handler may take the
// URL away.
func requestOf(r *http.Request) pattern.Request {
	q := pattern.Request{Method: r.Method, Host: r.Host}
	if r.URL != nil {
		q.Path = r.URL.Path
		if r.URL.RawPath != "" {
			q.EscapedPath = r.URL.EscapedPath()
		}
	}
	return q
}

// glanceAt is what is seen at once of the request's path. Nearly every path is
// known by it not to be one of a set.
func glanceAt(r *http.Request) pattern.Glance {
	if r.URL == nil || r.URL.RawPath != "" {
		return pattern.Anything
	}
	return pattern.AtPath(r.URL.Path)
}

// sensitivePath asks OnRoutes about the request's path.
func (c *config) sensitivePath(r *http.Request, tally pattern.Tally) bool {
	return c.routes.LoosePath(requestOf(r), tally)
}

// exemptPath asks Exempt about the request's path.
func (c *config) exemptPath(r *http.Request) bool {
	return c.exempt.ExactPath(requestOf(r), pattern.Each)
}

// patternStats returns nil where there are no patterns.
func (c *config) patternStats() (stats []PatternStat) {
	for _, rule := range []struct {
		option string
		set    *pattern.Set
	}{{onRoutes, &c.routes}, {exempt, &c.exempt}} {
		for _, count := range rule.set.Counts() {
			stats = append(stats, PatternStat{rule.option, count.Pattern, count.Matches})
		}
	}
	return stats
}

// statusSet holds the status codes that OnStatus allows, a bit for each.
type statusSet [10]uint64

const firstStatus = 200

func (s *statusSet) add(code int) {
	n := code - firstStatus
	s[n/64] |= 1 << (n % 64)
}

// has may be asked about any number: a handler can write what it likes.
func (s *statusSet) has(code int) bool {
	n := uint(code - firstStatus)
	return n/64 < uint(len(s)) && s[n/64]&(1<<(n%64)) != 0
}

// match is one OnMatch rule.
type match struct {
	reason reasonIndex
	ask    func(*http.Request) bool
	guard  *callback.Guard
}

func newMatch(reason reasonIndex, ask func(*http.Request) bool) match {
	return match{reason, ask, new(callback.Guard)}
}

func (m *match) accepts(r *http.Request, logger *slog.Logger) (yes bool) {
	defer callback.Caught(m.guard, logger, "an OnMatch function", &yes)
	return m.ask(r)
}
