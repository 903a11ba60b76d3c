package stdlib

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// AdvertiseKeepAlive sends "Keep-Alive: timeout=" on HTTP/1 responses that keep
// their connection: srv.IdleTimeout (srv.ReadTimeout where that is 0, as in
// net/http) less margin, in whole seconds. Clients that read it, such as Node's
// agents, then close first and never send a request into the server's own idle
// close. A margin of 1 s is usual. A server without an idle timeout has nothing to
// advertise, which is an error, and so is a margin that leaves less than 1 s.
//
// It is left out where net/http may close the connection by its own word: behind
// a request whose body is longer than 256 KB, of unknown length, or not yet sent
// because the client waits for a 100 Continue, where the handler has set a
// Transfer-Encoding, once the server is shut down, and on HTTP/1.0. That a program
// has called srv.SetKeepAlivesEnabled is not seen. Every Serve of one server has
// to be given the same margin, and it is an error otherwise. HTTP/2 has no such
// field.
func AdvertiseKeepAlive(margin time.Duration) ServeOption {
	return func(c *serveConfig) error {
		if margin <= 0 {
			return fmt.Errorf("AdvertiseKeepAlive: a margin of %v is not allowed; it must be greater than 0", margin)
		}
		c.keepAliveMargin = margin
		return nil
	}
}

// keepAliveTimeout returns what to advertise, 0 for nothing.
func (c *serveConfig) keepAliveTimeout(srv *http.Server) (seconds int, err error) {
	if c.keepAliveMargin == 0 {
		return 0, nil
	}
	idle := srv.IdleTimeout
	if idle == 0 {
		idle = srv.ReadTimeout
	}
	if idle <= 0 {
		return 0, errors.New("AdvertiseKeepAlive: the server has no IdleTimeout to advertise; set one")
	}
	if left := idle - c.keepAliveMargin; left >= time.Second {
		return int(left / time.Second), nil
	}
	return 0, fmt.Errorf("AdvertiseKeepAlive: a margin of %v does not fit; of the server's idle timeout of %v it must leave 1s or more", c.keepAliveMargin, idle)
}

// advertise makes the server advertise the timeout, 0 for nothing. The first
// Serve decides for all.
func (t *tracker) advertise(seconds int) error {
	t.entering.Lock()
	defer t.entering.Unlock()
	if t.advertised && t.keepAliveSeconds != seconds {
		return fmt.Errorf("AdvertiseKeepAlive: a timeout of %d s is not allowed here; another Serve of this server advertises %d s (0 = nothing), and all have to do the same", seconds, t.keepAliveSeconds)
	}
	t.advertised, t.keepAliveSeconds = true, seconds
	if seconds > 0 {
		t.keepAlive = "timeout=" + strconv.Itoa(seconds)
	}
	t.entry.Advertise(t.keepAlive)
	return nil
}
