package core

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/politeclose/politeclose/core/internal/pattern"
	"github.com/politeclose/politeclose/core/internal/shed"
)

// Option configures a [Controller]. An Option with a bad argument makes [New]
// return an error that names the option, the value and what is allowed.
//
// OnRoutes, Exempt, OnStatus, OnMatch, OnLoad and DrainWhen add to what was given
// before. Any other option overrides an earlier one of its kind, so that defaults
// can be given first.
type Option func(*config) error

// New returns a Controller with the rules that the options give, or an error
// that names the first option with a bad argument, the value, and what is
// allowed. Without options a connection ends for a drain, at a handler's word
// and at the client's.
func New(opts ...Option) (*Controller, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	c := &Controller{
		rules:    cfg.rules(),
		atPaths:  cfg.routes.AtPaths() | cfg.exempt.AtPaths(),
		atRoutes: cfg.routes.AtRoutes() | cfg.exempt.AtRoutes(),
		start:    time.Now(),
		config:   *cfg,
	}
	c.counters.Init()
	c.lots.Init(cfg.firstLot())
	c.budget.Init(cfg.perSecond, cfg.burst)
	if err := c.load.init(cfg, c.snapshot); err != nil {
		return nil, fmt.Errorf("politeclose: %w", err)
	}
	c.excess.init(cfg, c.counters.Staying)
	c.drain.Init(cfg.flags, c.now, cfg.logger)
	c.leaving.Init(&c.drain, c.schedule, c.now, uint32(drainIndex))
	c.closes.init(len(cfg.reasons))
	c.observers.init(c)
	return c, nil
}

// The options that take patterns, as errors and [PatternStat] name them.
const (
	onRoutes = "OnRoutes"
	exempt   = "Exempt"
)

type config struct {
	maxAge      time.Duration
	ageGrace    time.Duration
	maxRequests int
	matches     []match
	logger      *slog.Logger
	routes      pattern.Set
	exempt      pattern.Set
	statuses    statusSet
	reasons     reasons
	signals     []Signal
	fairShare   func() int
	flags       []func() bool
	schedule    shed.Schedule // of a drain
	perSecond   float64
	burst       int
	simulated   *simulation
}

func newConfig(opts []Option) (*config, error) {
	procs := runtime.GOMAXPROCS(0)
	c := &config{
		reasons:   slices.Clone(builtinReasons),
		perSecond: float64(10 * procs),
		burst:     20 * procs,
		logger:    slog.Default(),
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("politeclose: option %d is nil; leave it out", i+1)
		}
		if err := opt(c); err != nil {
			return nil, fmt.Errorf("politeclose: %w", err)
		}
	}
	return c, nil
}

// OnRoutes ends the connection after a response of one of these routes, with
// [ReasonRoute]. It does not use the [Budget].
//
// A pattern in the syntax of [http.ServeMux], such as "/login", "POST /login",
// "/admin/" or "/users/{id}", is compared with the router's own pattern and
// with the request's cleaned path; either is enough, and a trailing slash makes
// no difference. One that ends in an asterisk, such as "/files/*" or
// "/files/*rest", is compared with the router's pattern alone, and means every
// route below, as "/admin/" does. Anything else that begins with a slash, such
// as chi's "/users/{id:[0-9]+}", is compared with the router's own pattern to
// the letter, and one that ends in a slash or an asterisk with everything below
// it. Other patterns, a method that is not in upper case, bytes that are not
// UTF-8 and are not percent-encoded, and a pattern given twice are errors. The
// cost per request does not depend on the number of patterns.
func OnRoutes(patterns ...string) Option {
	return func(c *config) error { return c.routes.Add(onRoutes, patterns) }
}

// Exempt keeps age, request count, load and excess from ending a connection
// with the response of one of these routes: health checks and the like. The
// other rules hold for them as for everybody.
//
// The syntax is that of [OnRoutes]. So as not to exempt too much, a pattern is
// compared with the request's path only where the router gave no pattern, and
// then to the letter; and "/users/{id}" exempts no route but one with a
// parameter in that place, so not "/users/me".
func Exempt(patterns ...string) Option {
	return func(c *config) error { return c.exempt.Add(exempt, patterns) }
}

// OnAge ends a connection that has been open for longer than limit, with
// [ReasonAge], when its next response leaves; a silent HTTP/2 connection is told
// without one, and a stream learns it by [Leaving]. Each connection has its own
// limit within ±10 % of the one given, so that connections opened together do
// not end together. The limit must be positive. Such closes use the [Budget].
func OnAge(limit time.Duration) Option {
	return func(c *config) error {
		if limit <= 0 {
			return fmt.Errorf("OnAge: %v is not allowed; the age must be greater than 0", limit)
		}
		c.maxAge = limit
		return nil
	}
}

// AgeGrace bounds how long a connection may still live once [OnAge] has ended
// it: from its announcement, or from when a stream on it learned by [Leaving]
// that it has to go. What is left then is cut, whatever is under way on it, and
// counted in [Stats.Ended] as forced. The default 0 sets no limit; a negative
// duration is an error. Without OnAge, and on connections without a record, it
// does nothing.
func AgeGrace(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("AgeGrace: %v is not allowed; it must be 0 (no limit) or more", d)
		}
		c.ageGrace = d
		return nil
	}
}

// OnRequestCount ends a connection with the response to its limit'th request,
// with [ReasonRequests]. Each connection has its own limit within ±10 % of the
// one given. The limit must be at least 1; 1 allows no second request. Such
// closes use the [Budget].
func OnRequestCount(limit int) Option {
	return func(c *config) error {
		if limit < 1 || limit > math.MaxInt32 {
			return fmt.Errorf("OnRequestCount: %d is not allowed; the count must be from 1 to %d", limit, math.MaxInt32)
		}
		c.maxRequests = limit
		return nil
	}
}

// OnStatus ends the connection after a response with one of these status codes
// (200 to 599), with [ReasonStatus]. It does not use the [Budget].
//
// 413 is worth having: [http.MaxBytesReader] cannot close the connection
// through a wrapped writer (go.dev/issue/73754).
func OnStatus(codes ...int) Option {
	return func(c *config) error {
		if len(codes) == 0 {
			return errors.New("OnStatus: no status code given; name at least one from 200 to 599")
		}
		for _, code := range codes {
			if code < 200 || code > 599 {
				return fmt.Errorf("OnStatus: %d is not allowed; a final status code is from 200 to 599", code)
			}
			c.statuses.add(code)
		}
		return nil
	}
}

// OnMatch ends the connection after the response to a request that match
// accepts: legacy clients, networks, headers. It does not use the [Budget].
//
// The reason is counted in [Stats.Closes] and may then be given to [CloseAfter]
// as well. It is [ReasonClient] or a name of your own, in UTF-8.
//
// match is called once per exchange at the commit point, from many goroutines,
// with the request as the middleware received it; what it costs, every exchange
// pays. It must not keep the request. A match that panics counts as false,
// which is logged once.
func OnMatch(reason Reason, match func(*http.Request) bool) Option {
	return func(c *config) error {
		i, err := c.reasons.declare(reason)
		if err != nil {
			return err
		}
		if match == nil {
			return fmt.Errorf("OnMatch: the match function for %q is nil", reason)
		}
		c.matches = append(c.matches, newMatch(i, match))
		return nil
	}
}

// OnLoad ends a share of the connections while a signal is above its soft
// threshold, with [ReasonLoad], so that they come back to a server with less to
// do. Package load has the signals.
//
// The share is the highest signal's place between soft and hard, smoothed over
// a second, 0.9 at most, and 0 as soon as all signals are at their soft
// thresholds or below. Each connection has its own place in the share, so that
// under steady load nobody is left to go after a while; 10 s after the load has
// gone places are drawn anew. Connections younger than 1 s stay.
//
// Such closes use the [Budget]. In case nobody else is there to take the load,
// connections that come after the first close stay as well, but for one in 10
// s, and the rate of closes is halved every 10 s, down to one in 10 s: until
// closes are seen to lower the signals, or the load has been gone for 10 s.
func OnLoad(signals ...Signal) Option {
	return func(c *config) error {
		if len(signals) == 0 {
			return errors.New("OnLoad: no signal given; package core/load has some")
		}
		for _, s := range signals {
			if err := s.check(); err != nil {
				return fmt.Errorf("OnLoad: %w", err)
			}
			if slices.ContainsFunc(c.signals, func(other Signal) bool { return other.Name == s.Name }) {
				return fmt.Errorf("OnLoad: the signal %q is given twice", s.Name)
			}
			c.signals = append(c.signals, s)
		}
		return nil
	}
}

// DrainWhen adds an outside drain flag: a file, a feature flag, a setting.
// While it is true the Controller is draining: responses announce and readiness
// fails, but no listener is closed.
//
// flag is read at most once a second and never twice at once, when an exchange,
// Draining or Stats comes, which waits for it for 20 ms at most; after that
// what it said last counts until it answers. A timer reads it only while a
// channel of [Leaving] or [Controller.DrainStarted] is open. A flag that panics
// counts as false, which is logged once. With several flags one that is true is
// enough.
func DrainWhen(flag func() bool) Option {
	return func(c *config) error {
		if flag == nil {
			return errors.New("DrainWhen: the flag function is nil")
		}
		c.flags = append(c.flags, flag)
		return nil
	}
}

// DrainSpread sets over how long a drain announces: each connection gets its
// own moment, evenly spread, and ends with its first response after that. The
// default 0 announces at once. A negative duration is an error.
func DrainSpread(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("DrainSpread: %v is not allowed; it must be 0 or more", d)
		}
		c.schedule.Spread = d
		return nil
	}
}

// DrainDelay sets how long a drain announces nothing after it has begun; a
// [DrainSpread] begins after that. [Controller.Draining] is true at once, so that
// readiness fails, and the balancer has the time to take the replica out: who
// is told to leave before that may come back to it, or to another one that goes
// next. kube-apiserver has the same as --shutdown-delay-duration. The default 0
// announces at once. A negative duration is an error, and for stdlib's Serve and
// Shutdown one above the lame duck is: a listener would be closed before a word
// is said.
func DrainDelay(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("DrainDelay: %v is not allowed; it must be 0 or more", d)
		}
		c.schedule.Delay = d
		return nil
	}
}

// Budget caps the voluntary closes, those for age, request count, load and
// excess, because each one costs its client a handshake: perSecond on average,
// burst at once. What it refuses is counted in [Stats.HeldBack] and asked again
// with the connection's next response. The default is 10 per second and a burst
// of 20, each times GOMAXPROCS; what is given here is taken as it is. perSecond
// must be greater than 0 (infinity lifts the cap), burst at least 1.
func Budget(perSecond float64, burst int) Option {
	return func(c *config) error {
		if !(perSecond > 0) {
			return fmt.Errorf("Budget: %v closes per second is not allowed; it must be greater than 0", perSecond)
		}
		if burst < 1 {
			return fmt.Errorf("Budget: a burst of %d is not allowed; it must be at least 1, or no connection could ever be closed", burst)
		}
		c.perSecond, c.burst = perSecond, burst
		return nil
	}
}

// Logger sets where the few things worth a line are said, each once: exchanges
// without a connection record, a flag or a signal that fails; and the steps of a
// drain. The default is [slog.Default] as it is when New is called: a program that
// calls slog.SetDefault does so before, or its handler gets these lines as text
// without attributes. Nothing is logged per request. A nil Logger is an error; use
// slog.DiscardHandler for silence.
func Logger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil || l.Handler() == nil {
			return errors.New("Logger: the logger or its handler is nil; use slog.New(slog.DiscardHandler) for silence")
		}
		c.logger = l
		return nil
	}
}
