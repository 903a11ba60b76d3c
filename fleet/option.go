package fleet

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Option configures a [Share]. An Option with a bad argument makes [NewShare]
// return an error that names the option, the value and what is allowed. A later
// Option overrides an earlier one of the same kind.
type Option func(*config) error

type config struct {
	sample   int
	interval time.Duration
	margin   float64
	token    string
	url      url.URL // of a peer, without its host
	client   *http.Client
	logger   *slog.Logger
	now      func() time.Duration
	random   *rand.Rand

	simulated bool // now is no clock that the machine keeps to
}

const (
	defaultSample   = 8
	defaultInterval = 5 * time.Second
	defaultMargin   = 0.005

	mostSample    = 64
	leastInterval = 100 * time.Millisecond
	mostInterval  = time.Minute
	mostMargin    = 1
)

// Path is where a replica asks its peers, unless [Endpoint] says otherwise, and
// so where the [Share.Handler] belongs.
const Path = "/fleet"

func newConfig(opts []Option) (*config, error) {
	start := time.Now()
	c := &config{
		sample:   defaultSample,
		interval: defaultInterval,
		margin:   defaultMargin,
		url:      url.URL{Scheme: "http", Path: Path},
		client:   defaultClient(),
		logger:   slog.Default(),
		now:      func() time.Duration { return time.Since(start) },
		random:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("option %d is nil; leave it out", i+1)
		}
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Sample sets how many peers a poll asks at most, 1 to 64. The default is 8. A
// smaller fleet is asked in full. More make the estimate quicker and, in a
// fleet that is larger than sixteen samples, more exact: there its standard
// error is the scatter between the replicas divided by the root of sixteen
// samples.
func Sample(peers int) Option {
	return func(c *config) error {
		if err := within("Sample", peers, 1, mostSample); err != nil {
			return err
		}
		c.sample = peers
		return nil
	}
}

// Interval sets how long a poll is after the one before, 100 ms to a minute.
// The default is 5 s. Each time is drawn within ±10 % of it, so that replicas
// that started together do not ask together. A peer has as long to answer, but
// 2 s at most, and a share that is older than three intervals is not known.
func Interval(d time.Duration) Option {
	return func(c *config) error {
		if err := within("Interval", d, leastInterval, mostInterval); err != nil {
			return err
		}
		c.interval = d
		return nil
	}
}

// Margin sets by what part the fair share is larger than the mean, 0 to 1. The
// default is 0.005.
//
// It is where closing ends. Of replicas that are added to a fleet, those
// without connections can only get what the others have above it: with 20 more
// to 80, their 90 % is reached where the others are at 102.5 % of the mean. On
// the other hand the last per cent is what costs most where the balancer
// chooses at random, since most of what is closed then comes back to replicas
// that have enough. Where closing begins is the business of [core.OnExcess].
func Margin(part float64) Option {
	return func(c *config) error {
		if err := within("Margin", part, 0, mostMargin); err != nil {
			return err
		}
		c.margin = part
		return nil
	}
}

func within[T cmp.Ordered](option string, value, least, most T) error {
	if !(value >= least && value <= most) { // so that NaN is not
		return fmt.Errorf("%s: %v is not allowed; it must be from %v to %v", option, value, least, most)
	}
	return nil
}

// BearerToken makes replicas show this token to each other (RFC 6750 §2.1), and
// the [Share.Handler] answer 401 to those that do not. It must be the same in
// the whole fleet. Without it everybody who can reach the Handler learns how
// many connections the replica has.
func BearerToken(token string) Option {
	return func(c *config) error {
		if token == "" {
			return errors.New("BearerToken: the token is empty; leave the option out to do without")
		}
		if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("BearerToken: the token has characters that a header field cannot carry; only visible ASCII is allowed")
		}
		c.token = token
		return nil
	}
}

// Endpoint sets how a peer's address becomes the URL of its [Share.Handler]:
// the scheme, "http" or "https", and the path, which begins with a slash. The
// default is "http" and [Path]. With https the [Client] has to know whose
// certificate to accept: peers are asked by their IP address where [DNS] names
// them.
func Endpoint(scheme, path string) Option {
	return func(c *config) error {
		if scheme != "http" && scheme != "https" {
			return fmt.Errorf("Endpoint: the scheme %q is not allowed; it must be http or https", scheme)
		}
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("Endpoint: the path %q is not allowed; it must begin with a slash", path)
		}
		c.url = url.URL{Scheme: scheme, Path: path}
		return nil
	}
}

// Client sets by what the peers are asked: for TLS, and for other ways to reach
// them. It is copied. Whatever it says, redirects are not followed. The default
// keeps no connection open, which would count as one of the peer's, and uses no
// proxy.
func Client(client *http.Client) Option {
	return func(c *config) error {
		if client == nil {
			return errors.New("Client: the client is nil; leave the option out for the default")
		}
		copied := *client
		copied.CheckRedirect = refuseRedirect
		c.client = &copied
		return nil
	}
}

// Logger sets where it is said, once, that the share is not known and why. The
// default is [slog.Default] as it is when NewShare is called. A nil Logger is an
// error; use slog.DiscardHandler for silence.
func Logger(l *slog.Logger) Option {
	return func(c *config) error {
		if l == nil || l.Handler() == nil {
			return errors.New("Logger: the logger or its handler is nil; use slog.New(slog.DiscardHandler) for silence")
		}
		c.logger = l
		return nil
	}
}

// Simulated makes time and chance the caller's, so that a simulation that calls
// [Share.Poll] gives the same result each time: now returns the time since any
// fixed moment and must not go back, everything random comes from seed, and
// peers have as long to answer as they take.
func Simulated(now func() time.Duration, seed uint64) Option {
	return func(c *config) error {
		if now == nil {
			return errors.New("Simulated: the clock function is nil")
		}
		c.now, c.simulated = now, true
		c.random = rand.New(rand.NewPCG(seed, seed))
		return nil
	}
}
