package stdlib_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// overEachHTTP2Server runs a test with a server, not yet served, and the way to
// serve it: over TLS and in servertest.Cleartext.
func overEachHTTP2Server(t *testing.T, test func(t *testing.T, secure bool, opts ...stdlib.ServeOption)) {
	t.Helper()
	t.Run("TLS", func(t *testing.T) { test(t, true, servertest.OverTLS.Opts...) })
	t.Run("cleartext", func(t *testing.T) { test(t, false) })
}

// http2Transport is Go's own client, which speaks nothing but HTTP/2.
func http2Transport(secure bool) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(secure)
	protocols.SetUnencryptedHTTP2(!secure)
	return &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
}

// onceBody is a body that cannot be sent again.
type onceBody struct {
	io.Reader
	begun atomic.Bool // to send it, or the header
}

func (b *onceBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	return b.Reader.Read(p)
}

// post makes one exchange whose request no client may repeat by itself. If it
// fails, sent tells whether any of the request may have gone out.
func post(client http.RoundTripper, url string) (sent bool, err error) {
	const text = "once and never again"
	body := &onceBody{Reader: strings.NewReader(text)}
	ctx, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { body.begun.Store(true) }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return false, err
	}
	response, err := client.RoundTrip(request)
	if err != nil {
		return body.begun.Load(), err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || response.ProtoMajor != 2 || string(answer) != text) {
		err = fmt.Errorf("%s %s with %q", response.Proto, response.Status, answer)
	}
	return true, err
}

// ended counts the requests that reached each connection, and those connections
// that have had requests and are gone.
type ended struct {
	mu       sync.Mutex
	requests map[net.Conn]int // of those that are open
	conns    int
	fewest   int // requests on one of them
	served   int
}

type connKey struct{}

func (e *ended) install(srv *http.Server) {
	e.requests, e.fewest = make(map[net.Conn]int), math.MaxInt
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		e.mu.Lock()
		defer e.mu.Unlock()
		// A client that dials twice and needs one connection leaves the other unused.
		if n := e.requests[c]; n > 0 && state == http.StateClosed {
			delete(e.requests, c)
			e.conns++
			e.fewest = min(e.fewest, n)
		}
	}
}

// echo answers a request with its own body.
func (e *ended) echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the request did not come as a whole
	}
	e.mu.Lock()
	e.requests[r.Context().Value(connKey{}).(net.Conn)]++
	e.served++
	e.mu.Unlock()
	w.Write(body)
}

func (e *ended) total() (conns int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.conns
}

// Go's client sends 16 POSTs at a time over one connection, which ends after about
// 100. With net/http's own GOAWAY that loses 3 or 4 for each connection that ends.
func TestOverHTTP2NoPostIsLostWhenConnectionsReachTheirRequestCount(t *testing.T) {
	const limit, streams = 100, 16
	requests := 1000
	if full {
		requests = 10_000
	}
	overEachHTTP2Server(t, func(t *testing.T, secure bool, opts ...stdlib.ServeOption) {
		ctl := servertest.NewController(t, core.OnRequestCount(limit), core.Budget(math.Inf(1), 1))
		var seen ended
		srv := servertest.NewHTTP2(stdlib.Middleware(ctl)(http.HandlerFunc(seen.echo)))
		seen.install(srv)
		s := servertest.New(t, ctl, srv).Start(opts...)
		client := http2Transport(secure)
		defer client.CloseIdleConnections()

		var begun, answered, neverSent atomic.Int64
		var clients sync.WaitGroup
		for range streams {
			clients.Go(func() {
				for begun.Add(1) <= int64(requests) {
					switch sent, err := post(client, targetURL(secure, s.Address)); {
					case err == nil:
						answered.Add(1)
					case sent:
						t.Errorf("lost a request: %v", err)
					default:
						neverSent.Add(1) // see the limits in the README
					}
				}
			})
		}
		clients.Wait()

		if sum := answered.Load() + neverSent.Load(); sum != int64(requests) {
			t.Errorf("%d of %d requests were answered or never sent", sum, requests)
		}
		if int64(seen.served) != answered.Load() {
			t.Errorf("the server served %d requests, and %d were answered", seen.served, answered.Load())
		}
		s.ExpectStats("as many connections have ended as were announced", func(s core.Stats) bool {
			return int(s.Closes[core.ReasonRequests]) == seen.total() && s.InFlight == 0
		})
		// A connection serves its limit and what crosses the announcement.
		if conns := seen.total(); conns < requests/limit/2 {
			t.Errorf("only %d connections ended in %d requests", conns, requests)
		}
		if seen.fewest < limit*9/10 {
			t.Errorf("a connection ended after %d requests", seen.fewest)
		}
		for reason, n := range ctl.Stats().Closes {
			if n > 0 && reason != core.ReasonRequests {
				t.Errorf("%d connections ended for %s", n, reason)
			}
		}
		t.Logf("%d connections ended; answered: %d, never sent: %d", seen.total(), answered.Load(), neverSent.Load())
	})
}

func targetURL(secure bool, address string) string {
	if secure {
		return "https://" + address + "/"
	}
	return "http://" + address + "/"
}
