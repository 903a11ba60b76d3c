package restart

import (
	"context"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// busyHTTP2 is the traffic of the issue. Its whole size is for POLITECLOSE_FULL.
func busyHTTP2(method Method, tls bool) Config {
	traffic := Config{Method: method, HTTP2: true, TLS: tls, Clients: 4, Restarts: 4}
	if os.Getenv("POLITECLOSE_FULL") != "" {
		traffic.Clients, traffic.Restarts = 8, 100
	}
	return traffic
}

// overBothHTTP2 runs a test over TLS and in cleartext.
func overBothHTTP2(t *testing.T, test func(t *testing.T, tls bool)) {
	t.Helper()
	for name, tls := range map[string]bool{"cleartext": false, "TLS": true} {
		t.Run(name, func(t *testing.T) { test(t, tls) })
	}
}

func TestOverHTTP2PolitecloseLosesNone(t *testing.T) {
	overBothHTTP2(t, func(t *testing.T, tls bool) {
		traffic := busyHTTP2(Politeclose(NetHTTP), tls)
		r := runHere(t, traffic)
		if r.Lost > 0 {
			t.Errorf("lost %d of %d requests: %v", r.Lost, r.Requests, r.Causes)
		}
		if r.Restarts != traffic.Restarts {
			t.Errorf("%d restarts, want %d", r.Restarts, traffic.Restarts)
		}
		checkCounts(t, r)
		t.Logf("%d requests, never sent: %d, %v", r.Requests, r.NeverSent, r.NeverSentCauses)
	})
}

// net/http takes a second for many of these Shutdowns, so they are few: until one
// of them has lost a request.
func TestOverHTTP2PlainShutdownLosesRequestsAndTheCountsAddUp(t *testing.T) {
	overBothHTTP2(t, func(t *testing.T, tls bool) {
		traffic := busyHTTP2(Shutdown(), tls)
		traffic.Restarts = 1
		if os.Getenv("POLITECLOSE_FULL") != "" {
			traffic.Restarts = 10
		}
		const tries = 5
		for range tries {
			r, err := Run(t.Context(), traffic)
			if err != nil {
				t.Fatal(err)
			}
			checkCounts(t, r)
			if r.Lost > 0 {
				return
			}
		}
		t.Errorf("lost nothing in %d runs", tries)
	})
}

func TestOverHTTP2EachConnectionHasItsRequestsAtOnce(t *testing.T) {
	overBothHTTP2(t, func(t *testing.T, tls bool) {
		const clients, streams = 2, 3
		var arrived atomic.Int32
		allAtOnce := make(chan struct{})
		method := Politeclose(NetHTTP)
		serve := method.Serve
		method.Serve = func(ctx context.Context, server *http.Server, listener net.Listener) error {
			handler := server.Handler
			server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if arrived.Add(1) == clients*streams {
					close(allAtOnce)
				}
				select {
				case <-allAtOnce:
				case <-r.Context().Done(): // fewer came, and the client lost patience
				}
				handler.ServeHTTP(w, r)
			})
			return serve(ctx, server, listener)
		}
		r, err := Run(t.Context(), Config{
			Method: method, HTTP2: true, TLS: tls, Clients: clients, Streams: streams, Think: 5 * time.Millisecond, Restarts: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		checkCounts(t, r)
		select {
		case <-allAtOnce:
		default:
			t.Error("not all requests were under way at once")
		}
	})
}

// Its client says that it sent nothing, and a handler knows better.
func TestARequestOfWhichAHandlerSawSomethingIsLost(t *testing.T) {
	b := newBook()
	seen, unseen := b.sent(0), b.sent(0)
	b.cutOff(seen)
	b.neverSent(seen, "cut")
	b.neverSent(unseen, "shutting down")
	if r := b.result(); r.Lost != 1 || r.LostUnseen != 1 || r.NeverSent != 1 ||
		r.Causes["cut"] != 1 || r.NeverSentCauses["shutting down"] != 1 {
		t.Errorf("%+v", r)
	}
	if err := b.contradiction(); err != nil {
		t.Error(err)
	}
}
