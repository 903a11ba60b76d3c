// Package restart measures what a rolling restart costs its clients: server
// generations hand over on one address while clients send requests that cannot be
// replayed, and every request is counted on both sides.
//
// Unless the method says otherwise, the generations share a listening socket that
// is never closed before the end, as with systemd socket activation or a
// supervisor that passes its descriptor on, so that nothing is lost in the accept
// queue and every loss is the drain's own.
package restart

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/politeclose/politeclose/internal/freeport"
)

// Config is one measurement: the traffic, and how its servers are restarted.
type Config struct {
	// Method serves and drains every generation. Required.
	Method Method `json:"-"`
	// Clients is the number of clients, each with one keep-alive connection: 1 to
	// MaxClients.
	Clients int
	// ConnectAnew makes every request a connection of its own.
	ConnectAnew bool
	// ListenHost is the address that the servers listen on, without the port. Empty
	// means 127.0.0.1.
	ListenHost string
	// DialHost is the address that the clients connect to. Empty means ListenHost.
	DialHost string
	// HTTP2 makes the connections HTTP/2's, without TLS in cleartext with prior
	// knowledge, instead of HTTP/1.1's.
	HTTP2 bool
	// Streams is how many requests at a time a client has: 1 over HTTP/1.1, and
	// over HTTP/2 1 to MaxStreams. Zero means 1, and DefaultStreams over HTTP/2.
	Streams int
	// Think is how long a client waits after an answer before its next request, on
	// each of its streams. Zero sends the next one at once.
	Think time.Duration
	// Handler is how long a request takes on the server. Zero answers at once.
	Handler time.Duration
	// SlowShare is the share of requests, from 0 to 1, that take SlowHandler
	// instead of Handler.
	SlowShare   float64
	SlowHandler time.Duration
	// Restarts is the number of handovers from one generation to the next: 1 to
	// MaxRestarts.
	Restarts int
	// Settle is how long the traffic runs before each restart, once every client
	// has sent a request to the current generation. Zero means 100 ms, or Think
	// if that is longer.
	Settle time.Duration
	// TLS serves HTTPS, with a certificate that is made for the run.
	TLS bool
	// Progress, if set, gets the result so far after each restart, on the
	// goroutine of Run: the traffic goes on, the next restart waits for it.
	Progress func(Result) `json:"-"`
}

// Bounds of a Config. Every generation's listener is open from the start, so a
// restart costs a file descriptor; a client costs three.
const (
	MaxClients  = 4096
	MaxRestarts = 1000
	// MaxStreams is what a net/http server allows; what is above it waits.
	MaxStreams = 250
)

// DefaultStreams is the Config.Streams of HTTP/2.
const DefaultStreams = 16

const defaultSettle = 100 * time.Millisecond

// Run restarts a server c.Restarts times under the traffic of c and returns
// what became of every request. When ctx ends, or a generation fails, it stops
// and returns the result so far beside the error. An error also says that the
// counts of the two sides contradict each other. A lost request is no error.
//
// Everything that Run starts has ended when it returns, except that a client's
// last connection is torn down by net/http in its own time.
func Run(ctx context.Context, c Config) (Result, error) {
	if err := c.check(); err != nil {
		return Result{}, err
	}
	run := run{Config: c, book: newBook()}
	var err error
	listeners, address := &listeners{}, ""
	if c.Method.Listening == SharedSocket {
		listeners, err = listen(c.listenHost(), c.Restarts+1)
	} else {
		address, err = freeport.Address(c.listenHost())
	}
	if err != nil {
		return Result{}, err
	}
	defer listeners.close()
	if c.TLS {
		if run.serverTLS, run.clientTLS, err = selfSigned(); err != nil {
			return Result{}, err
		}
	}
	serving, err := run.start(ctx, listeners.next(), address)
	if err != nil {
		return Result{}, err
	}
	stopClients := run.startClients(run.url(serving.address))

	for range c.Restarts {
		if err = serving.settle(ctx, run.settleTime(), run.patience()); err != nil {
			break
		}
		var next *generation
		var drain time.Duration
		if c.Method.Listening != After {
			if next, err = run.start(ctx, listeners.next(), serving.address); err != nil {
				break
			}
		}
		run.orders = append(run.orders, time.Now())
		drain, err = serving.drain()
		run.abandoned += int(serving.running.Load())
		if next == nil && err == nil {
			next, err = run.start(ctx, nil, serving.address)
		}
		if next != nil {
			serving = next
		}
		if err != nil {
			break
		}
		run.drains = append(run.drains, drain)
		if c.Progress != nil {
			c.Progress(run.result())
		}
	}

	if serving.hasEnded() {
		// Nobody accepts: refuse the clients now, or each waits out its patience.
		listeners.close()
	}
	stopClients()
	if _, lastErr := serving.drain(); err == nil {
		err = lastErr
	}
	run.book.waitForHandlers()
	if err == nil {
		err = run.book.contradiction()
	}
	return run.result(), err
}

func (c Config) listenHost() string { return cmp.Or(c.ListenHost, "127.0.0.1") }

// url is where the clients find a server that listens on address.
func (c Config) url(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if c.DialHost != "" {
		host = c.DialHost
	}
	scheme := "http"
	if c.TLS {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/"
}

// run is the state of one measurement.
type run struct {
	Config
	book      *book
	serverTLS *tls.Config // nil without TLS
	clientTLS *tls.Config
	orders    []time.Time // to leave
	drains    []time.Duration
	abandoned int
}

func (r *run) settleTime() time.Duration {
	if r.Settle == 0 {
		return max(defaultSettle, r.Think)
	}
	return r.Settle
}

func (r *run) result() Result {
	result := r.book.result(r.orders...)
	result.Method = r.Method.Name
	result.Restarts = len(r.drains)
	result.Drains = slices.Clone(r.drains)
	result.Abandoned = r.abandoned
	return result
}

func (c Config) check() error {
	switch {
	case c.Method.Serve == nil:
		return fmt.Errorf("restart: Method %q has no Serve function", c.Method.Name)
	case c.Clients < 1 || c.Clients > MaxClients:
		return fmt.Errorf("restart: Clients is %d: allowed is 1 to %d", c.Clients, MaxClients)
	case c.Restarts < 1 || c.Restarts > MaxRestarts:
		return fmt.Errorf("restart: Restarts is %d: allowed is 1 to %d", c.Restarts, MaxRestarts)
	case c.Streams < 0 || c.Streams > MaxStreams:
		return fmt.Errorf("restart: Streams is %d: allowed is 1 to %d, or 0 for the default", c.Streams, MaxStreams)
	case c.Streams > 1 && !c.HTTP2:
		return fmt.Errorf("restart: Streams is %d: allowed without HTTP2 is 1", c.Streams)
	case c.ConnectAnew && c.HTTP2:
		return errors.New("restart: ConnectAnew is true: allowed with HTTP2 is false")
	case !(c.SlowShare >= 0 && c.SlowShare <= 1):
		return fmt.Errorf("restart: SlowShare is %v: allowed is 0 to 1", c.SlowShare)
	}
	for _, duration := range []struct {
		name  string
		value time.Duration
	}{{"Think", c.Think}, {"Handler", c.Handler}, {"SlowHandler", c.SlowHandler}, {"Settle", c.Settle}} {
		if duration.value < 0 {
			return fmt.Errorf("restart: %s is %v: allowed is 0 or more", duration.name, duration.value)
		}
	}
	return nil
}
