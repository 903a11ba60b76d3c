package stdlib

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"syscall"
	"time"

	"github.com/politeclose/politeclose/core"
)

// ServeOption configures [Serve] and [Shutdown]. One with a bad argument makes them
// return an error that names the option, the value and what is allowed, before
// anything is started. One given again overrides the earlier one, but for [On].
type ServeOption func(*serveConfig) error

// serveConfig is what the options come to. Nothing changes it later.
type serveConfig struct {
	// Of whoever owns the listener.
	listener         net.Listener // nil = one on srv.Addr
	reusePort        bool
	unshared         bool
	serveTLS         func(*http.Server, net.Listener) error // nil without TLS, whose code is then not in the program
	noCertificate    bool                                   // of TLS: the server has to have it
	onListening      func(net.Addr)
	keepAliveMargin  time.Duration
	keepAliveSeconds int // 0 = advertise nothing

	// Of the drain.
	lameDuck     time.Duration
	drainTimeout time.Duration // 0 until Serve or Shutdown has settled it
	byContext    bool          // Shutdown's context has that timeout
	idleGrace    time.Duration
	signals      []os.Signal
	force        context.Context
	onDrain      func()

	requestTimeout bool // answers who is closed at the idle grace
}

// On serves on l instead of listening on srv.Addr. Serve closes it, also where it
// returns an error at once, as for a second On: a server may have a Serve for each
// of several listeners. Somebody else may accept from the same socket, and who
// waits in its queue is left to them; where there is nobody else he is reset, unless
// [Unshared] is given as well.
//
// Connections of another type than *net.TCPConn pass through as they are (see
// [Listener]): over a Unix socket, or below a PROXY protocol's wrapper, a request
// header that is still arriving counts as silence, and a hijacked connection is
// no longer known.
func On(l net.Listener) ServeOption {
	return func(c *serveConfig) error {
		if v := reflect.ValueOf(l); l == nil || v.Kind() == reflect.Pointer && v.IsNil() {
			return errors.New("On: the listener is nil")
		}
		before := c.listener
		c.listener = l
		if before != nil {
			defer closeUnserved(before)
			return fmt.Errorf("On: the listeners %v and %v are given; call Serve for each of them", before.Addr(), l.Addr())
		}
		return nil
	}
}

// TLS serves TLS with the certificate and key of these files, like
// http.Server.ServeTLS. Both are empty where srv.TLSConfig has the certificates.
func TLS(cert, key string) ServeOption {
	return func(c *serveConfig) error {
		if (cert == "") != (key == "") {
			return fmt.Errorf("TLS: certificate %q and key %q: give both, or neither and set srv.TLSConfig", cert, key)
		}
		if cert != "" {
			if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
				return fmt.Errorf("TLS: certificate %q and key %q: %w", cert, key, err)
			}
		}
		c.serveTLS = func(srv *http.Server, l net.Listener) error { return srv.ServeTLS(l, cert, key) }
		c.noCertificate = cert == ""
		return nil
	}
}

// LameDuck sets how long the listener stays open after the drain has begun,
// because a load balancer goes on sending new connections until it has noticed.
// The default is 0. It must be 0 or more, and less than the [DrainTimeout].
func LameDuck(d time.Duration) ServeOption {
	return func(c *serveConfig) error {
		if d < 0 {
			return fmt.Errorf("LameDuck: %v is not allowed; it must be 0 or more", d)
		}
		c.lameDuck = d
		return nil
	}
}

// DrainTimeout bounds the whole drain, LameDuck included. What is open then is
// cut. The default is 25 s, because Kubernetes kills after 30 s. It must be greater
// than 0.
func DrainTimeout(d time.Duration) ServeOption {
	return func(c *serveConfig) error {
		if d <= 0 {
			return fmt.Errorf("DrainTimeout: %v is not allowed; it must be greater than 0", d)
		}
		c.drainTimeout = d
		return nil
	}
}

// IdleGrace sets how long a connection may stay without a request once the
// listener is closed. A request within that time is answered and announced. A
// connection that has had none by then is closed without a word, or with that of
// [RequestTimeoutOnIdleClose]. 0 waits until DrainTimeout, and so does anything
// longer than that. The default is 5 s. A negative duration is an error.
func IdleGrace(d time.Duration) ServeOption {
	return func(c *serveConfig) error {
		if d < 0 {
			return fmt.Errorf("IdleGrace: %v is not allowed; it must be 0 (no limit of its own) or more", d)
		}
		c.idleGrace = d
		return nil
	}
}

// RequestTimeoutOnIdleClose answers an HTTP/1 connection that the drain closes at
// the [IdleGrace] with "408 Request Timeout" and "Connection: close", where the
// default is to close it without a word. A request that crosses this answer has
// not reached the handler, and its client is told so (RFC 9110 §15.5.9): it may
// send it again, whatever its method. Without the answer it cannot know.
//
// It is for servers behind a proxy. nginx, HAProxy, httpd, Caddy, Varnish and
// httputil.ReverseProxy drop an idle connection on which it comes, and where a
// request crosses it their client gets a 408 in place of a 502.
// Where programs connect by themselves leave it out: curl, PHP's and Ruby's
// clients, Java's HttpURLConnection and OkHttp without its retries take the 408
// for the answer to their next request, which they would have sent again after a
// close without a word.
//
// Not answered are HTTP/2, which has its GOAWAY; TLS connections over which no
// request has come yet; sockets that are no *net.TCPConn; and what the
// [DrainTimeout] cuts. Nobody waits for a client that does not read. After the
// answer the close is that of an announced one, which waits up to 2 s for the
// client's own.
func RequestTimeoutOnIdleClose() ServeOption {
	return func(c *serveConfig) error {
		c.requestTimeout = true
		return nil
	}
}

// Signals makes the first of these signals begin the drain and the second one
// force its end; none named means SIGINT and SIGTERM. The first does not force a
// drain that something else has begun: a context of [signal.NotifyContext] that is
// done for a signal begins it, and the same signal comes here as well. Those of a
// [Shutdown] are the signals that come while it drains. Without this option no signal
// is touched. One that no process can catch, such as [os.Kill], is an error.
func Signals(signals ...os.Signal) ServeOption {
	return func(c *serveConfig) error {
		for i, s := range signals {
			if err := checkSignal(s); err != nil {
				return fmt.Errorf("Signals: signal %d %w", i+1, err)
			}
		}
		if len(signals) == 0 {
			signals = []os.Signal{os.Interrupt, syscall.SIGTERM}
		}
		c.signals = signals
		return nil
	}
}

// checkSignal refuses what never comes. With nothing but signals that are none,
// signal.Stop would wait for ever for a goroutine that signal.Notify has not begun.
func checkSignal(s os.Signal) error {
	v := reflect.ValueOf(s)
	switch {
	case s == nil:
		return errors.New("is nil")
	case v.Type() != reflect.TypeOf(os.Interrupt), v.CanInt() && (v.Int() < 1 || v.Int() > 64):
		return fmt.Errorf("is %#v, which is none of the system's; name some of package syscall", s)
	case slices.Contains(uncatchable, s):
		return fmt.Errorf("is %q, which no process can catch; leave it out", s)
	}
	return nil
}

// ForceContext forces the end of the drain when ctx is done, and begins it if it
// has not begun: what is open is cut, and the error is [ErrForced]. A nil context is
// an error.
func ForceContext(ctx context.Context) ServeOption {
	return func(c *serveConfig) error {
		if ctx == nil {
			return errors.New("ForceContext: the context is nil")
		}
		c.force = ctx
		return nil
	}
}

// OnListening calls f with the address when [Serve] listens, on a goroutine of its
// own that nobody waits for. A nil function is an error.
func OnListening(f func(net.Addr)) ServeOption {
	return func(c *serveConfig) error {
		if f == nil {
			return errors.New("OnListening: the function is nil")
		}
		c.onListening = f
		return nil
	}
}

// OnDrain calls f when the drain begins and its flag is up, on a goroutine of its
// own: to leave a service registry, for one. The drain does not wait for f, and Serve
// and Shutdown return when it has returned as well, or at the timeout. A nil function
// is an error. It is not called where somebody else's http.Server.Shutdown or Close
// ends the server without a drain.
func OnDrain(f func()) ServeOption {
	return func(c *serveConfig) error {
		if f == nil {
			return errors.New("OnDrain: the function is nil")
		}
		c.onDrain = f
		return nil
	}
}

// defaultTimeout is DrainTimeout's.
const defaultTimeout = 25 * time.Second

// configure applies all options even if one is bad, so that On's listener is known.
func configure(opts []ServeOption) (c *serveConfig, bad error) {
	c = &serveConfig{idleGrace: 5 * time.Second, force: context.Background()}
	for i, opt := range opts {
		err := fmt.Errorf("option %d is nil; leave it out", i+1)
		if opt != nil {
			err = opt(c)
		}
		if bad == nil {
			bad = err
		}
	}
	return c, bad
}

// checkArguments is for what is not an option.
func checkArguments(ctx context.Context, srv *http.Server, ctl *core.Controller) error {
	switch {
	case ctx == nil:
		return errors.New("the context is nil")
	case srv == nil:
		return errors.New("the server is nil")
	case ctl == nil:
		return errors.New("the Controller is nil; make one with core.New")
	}
	return nil
}

// checkTimes finds out whether everything fits into the timeout, whose name is for
// the error.
func (c *serveConfig) checkTimes(ctl *core.Controller, timeout string) error {
	if c.lameDuck >= c.drainTimeout {
		return fmt.Errorf("LameDuck: %v does not fit; it must be less than %s, which is %v and includes it", c.lameDuck, timeout, c.drainTimeout)
	}
	delay, spread := ctl.DrainDelay(), ctl.DrainSpread()
	if delay > c.lameDuck {
		return fmt.Errorf("the Controller's DrainDelay: %v does not fit; it must be at most the LameDuck, which is %v", delay, c.lameDuck)
	}
	if spread >= c.drainTimeout-delay {
		return fmt.Errorf("the Controller's DrainSpread: %v does not fit; it must be less than %s, which is %v, without the DrainDelay, which is %v", spread, timeout, c.drainTimeout, delay)
	}
	return nil
}

// checkServer finds out whether the server has what the listener's options want.
func (c *serveConfig) checkServer(srv *http.Server) (err error) {
	if c.keepAliveSeconds, err = c.keepAliveTimeout(srv); err != nil {
		return err
	}
	if c.noCertificate {
		config := srv.TLSConfig
		if config == nil || len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil {
			return errors.New(`TLS: no files are named and srv.TLSConfig has no certificate; give one of them`)
		}
	}
	return nil
}
