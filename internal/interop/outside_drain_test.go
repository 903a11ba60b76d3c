package interop

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"log"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// A rule that ends connections outside a drain, and what it makes of the
// connections that the server has seen.
type rule struct {
	name    string
	options []core.Option
	reason  core.Reason
	check   func(t *testing.T, requests int, seen []*seenConn)
	answer  string // that of the other tests where it is empty
}

const (
	requestLimit = 5
	ageLimit     = 50 * time.Millisecond
)

var sensitive = rule{"a sensitive route", []core.Option{core.OnRoutes("POST /{$}")}, core.ReasonRoute, func(t *testing.T, requests int, seen []*seenConn) {
	if len(seen) != requests {
		t.Errorf("%d requests came over %d connections, want one each", requests, len(seen))
	}
}, ""}

var rules = []rule{
	sensitive,
	{"a sensitive route, a large answer", sensitive.options, sensitive.reason, sensitive.check, largeAnswer},
	{"the request count", []core.Option{core.OnRequestCount(requestLimit), unlimited}, core.ReasonRequests, func(t *testing.T, _ int, seen []*seenConn) {
		for _, conn := range seen {
			if conn.requests > requestLimit+1 {
				t.Errorf("%d requests came over one connection, want %d at most, or one more by jitter", conn.requests, requestLimit)
			}
		}
	}, ""},
	{"the age", []core.Option{core.OnAge(ageLimit), unlimited}, core.ReasonAge, func(t *testing.T, _ int, seen []*seenConn) {
		for _, conn := range seen {
			if conn.old > 1 {
				t.Errorf("%d requests came over a connection older than %v, want the one whose answer announces", conn.old, oldAge)
			}
		}
	}, ""},
}

// largeAnswer is more than a client's receive window at first, so that a connection
// that is closed too early cuts it. It is short enough for an argument of a program.
var largeAnswer = strings.Repeat("politeclose", 9000)

// expected is what the server answers.
func (r rule) expected() string { return cmp.Or(r.answer, answer) }

var unlimited = core.Budget(math.Inf(1), 1)

// oldAge is the age limit with its jitter.
const oldAge = ageLimit * 11 / 10

// Every client opens another connection for its next request, and loses nothing.
func TestClosesOutsideADrain(t *testing.T) {
	for _, client := range http1Clients() {
		for _, rule := range rules {
			t.Run(client.name+"/"+rule.name, func(t *testing.T) {
				t.Parallel()
				b := newBook()
				server := startAnswering(t, b, rule.expected(), false, rule.options...)
				client.start(t, traffic{url: "http://" + server.address + "/", workers: 2, each: 40, think: 5 * time.Millisecond, answer: rule.expected()}, b)()
				expectCloses(t, b, rule, server)
				if input := server.ctl.Stats().InputAfterAnnounce; input > 0 && !slices.Contains(pipelining, client.name) {
					t.Errorf("%d connections were used after the announcement", input)
				}
			})
		}
	}
}

// A proxy is a client like any other.
func TestClosesOutsideADrainBehindAProxy(t *testing.T) {
	for _, proxy := range proxies() {
		for _, rule := range rules {
			if proxy.cutsLargeAnswers && rule.answer != "" {
				continue
			}
			t.Run(proxy.name+"/"+rule.name, func(t *testing.T) {
				t.Parallel()
				b := newBook()
				start := func() *observed { return startAnswering(t, b, rule.expected(), false, rule.options...) }
				servers := []*observed{start(), start()}
				front := servertest.FreeAddress(t)
				proxy.start(t, front, servers[0].address, servers[1].address)
				if proxy.first {
					servers = servers[:1]
				}
				startGo(t, traffic{url: "http://" + front + "/", workers: 4, each: 40, think: 5 * time.Millisecond, answer: rule.expected()}, b)()
				switch {
				case proxy.http2:
					expectClosesOverHTTP2(t, b, rule, servers...)
					return
				case proxy.keepsNone:
					if r := b.result(t); r.spoiled() {
						t.Errorf("requests were lost, or executed again: %v", r)
					}
					return
				}
				expectCloses(t, b, rule, servers...)
				for _, server := range servers {
					if input := server.ctl.Stats().InputAfterAnnounce; input > 0 {
						t.Errorf("%d connections were used after the announcement", input)
					}
				}
			})
		}
	}
}

// expectClosesOverHTTP2 is expectCloses for proxies that fail what they had not sent
// when GOAWAY came.
func expectClosesOverHTTP2(t *testing.T, b *book, rule rule, servers ...*observed) {
	t.Helper()
	r := b.result(t)
	t.Logf("%s: %v", t.Name(), r)
	if r.lostExecuted > 0 || r.repeated > 0 {
		t.Errorf("requests were executed and lost, or executed again: %v", r)
	}
	for _, server := range servers {
		server.end(t)
		if closes := server.ctl.Stats().Closes[rule.reason]; closes < 2 {
			t.Errorf("%d connections were closed for %s, want 2 or more", closes, rule.reason)
		}
	}
}

// expectCloses ends the servers and fails the test unless all requests were
// answered and the rule ended connections as it should.
func expectCloses(t *testing.T, b *book, rule rule, servers ...*observed) {
	t.Helper()
	if r := b.result(t); r.lost > 0 || r.repeated > 0 {
		t.Errorf("requests were lost, or executed again: %v", r)
	}
	for _, server := range servers {
		requests, seen := server.end(t)
		rule.check(t, requests, seen)
		if closes := server.ctl.Stats().Closes[rule.reason]; closes < 2 {
			t.Errorf("%d connections were closed for %s, want 2 or more", closes, rule.reason)
		}
	}
}

// observed is a server in the test's own process that sees its connections.
type observed struct {
	ctl     *core.Controller
	address string
	leave   context.CancelFunc
	served  chan error

	mu   sync.Mutex
	seen map[*seenConn]bool
}

// seenConn is one connection.
type seenConn struct {
	first    time.Time // request: never older here than to the Controller
	requests int
	old      int // requests at an age above oldAge
}

type seenConnKey struct{}

func startObserved(t *testing.T, b *book, encrypted bool, options ...core.Option) *observed {
	t.Helper()
	return startAnswering(t, b, answer, encrypted, options...)
}

func startAnswering(t *testing.T, b *book, answer string, encrypted bool, options ...core.Option) *observed {
	t.Helper()
	ctl, err := core.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving, leave := context.WithCancel(t.Context())
	o := &observed{ctl: ctl, address: listener.Addr().String(), leave: leave, served: make(chan error, 1), seen: make(map[*seenConn]bool)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		o.see(r)
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // cut off on its way: it was not executed
		}
		b.replica(executedPrefix + r.Header.Get(idHeader))
		io.WriteString(w, answer)
	})
	mux.Handle("GET /readyz", stdlib.Ready(ctl))
	srv := &http.Server{
		Handler:   stdlib.Middleware(ctl)(mux),
		ErrorLog:  log.New(io.Discard, "", 0),
		Protocols: new(http.Protocols),
	}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true) // for proxies that speak it
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	tracked := srv.ConnContext
	srv.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		ctx = tracked(ctx, conn)
		return context.WithValue(ctx, seenConnKey{}, &seenConn{})
	}
	// At the end nobody but a proxy's idle connections is left.
	serveOptions := []stdlib.ServeOption{stdlib.On(listener), stdlib.IdleGrace(10 * time.Millisecond)}
	if encrypted {
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}}
		serveOptions = append(serveOptions, stdlib.TLS("", ""))
	}
	go func() {
		_, err := stdlib.Serve(serving, srv, ctl, serveOptions...)
		o.served <- err
	}()
	t.Cleanup(leave)
	return o
}

func (o *observed) see(r *http.Request) {
	conn := r.Context().Value(seenConnKey{}).(*seenConn)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen[conn] = true
	if conn.requests++; conn.requests == 1 {
		conn.first = time.Now()
	}
	if time.Since(conn.first) > oldAge {
		conn.old++
	}
}

// end drains the server and returns what it has seen.
func (o *observed) end(t *testing.T) (requests int, seen []*seenConn) {
	t.Helper()
	o.leave()
	if err := clienttest.Receive(t, "the server has ended", o.served); err != nil {
		t.Error(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for conn := range o.seen {
		requests += conn.requests
	}
	return requests, slices.Collect(maps.Keys(o.seen))
}
