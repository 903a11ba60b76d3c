package stdlib_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// What net/http really does, and the package is built on. A test that fails here
// with a new Go says what to reconsider. None of these servers has the
// middleware, unless it says so.

func TestFactNetHTTPClosesForNothingButAnExactClose(t *testing.T) {
	for _, c := range []struct {
		values []string
		closes bool
	}{
		{[]string{"close"}, true},
		{[]string{"close", "keep-alive"}, true},
		{[]string{"Close"}, false},
		{[]string{"close, X-Hop"}, false},
		{[]string{"keep-alive, close"}, false},
		{[]string{"keep-alive", "close"}, false},
	} {
		client := clienttest.Dial(t, serveBare(t, servertest.Cleartext, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Connection"] = slices.Clone(c.values)
			servertest.Hello(w, r)
		})))
		if r := client.Get("/"); !slices.Equal(r.Connection, c.values) {
			t.Errorf("%q arrives as %q", c.values, r.Connection)
		}
		if c.closes {
			client.ExpectEnd()
		} else {
			client.ExpectOpen()
		}
	}
}

func TestFactHTTP2StripsConnectionFromAFinalResponseOnly(t *testing.T) {
	client := clienttest.DialHTTP2(t, serveBare(t, servertest.OverTLS, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusEarlyHints)
		servertest.Hello(w, r)
	})))
	r := client.Get("/")
	if r.Connection != nil {
		t.Errorf("the final response has connection %q", r.Connection)
	}
	if len(r.Informational) != 1 || r.Informational[0]["connection"] == nil {
		t.Errorf("the 103 is %v: net/http has begun to strip it", r.Informational)
	}
	client.ExpectGoAway()
}

func TestFactTheOrderOfTheHooks(t *testing.T) {
	run := func(t *testing.T, over servertest.Transport, use func(address string), want ...string) {
		t.Helper()
		var seen states
		taken := make(chan net.Conn, 1)
		srv := servertest.NewHTTP(echoing{taken})
		srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			seen.seen = append(seen.seen, "context")
			return ctx
		}
		srv.ConnState = seen.hook
		use(startBare(t, srv, over))
		clienttest.Eventually(t, "the hooks are called in order", seen.are(want...))
	}
	t.Run("HTTP/1", func(t *testing.T) {
		run(t, servertest.Cleartext, func(address string) {
			c := clienttest.Dial(t, address)
			get(t, c, "/")
			get(t, c, "/")
			c.Close()
		}, "context", "new", "active", "idle", "active", "idle", "closed")
	})
	t.Run("a connection that is taken over is never closed", func(t *testing.T) {
		run(t, servertest.Cleartext, func(address string) {
			c := clienttest.Dial(t, address)
			take(t, c)
			c.Close()
		}, "context", "new", "active", "hijacked")
	})
	t.Run("HTTP/2", func(t *testing.T) {
		run(t, servertest.OverTLS, func(address string) {
			c := clienttest.DialHTTP2(t, address)
			c.Get("/")
			c.ExpectOpen()
			c.Get("/")
			c.ExpectOpen()
			c.Close()
		}, "context", "new", "active", "idle", "active", "idle", "active", "idle", "closed")
	})
}

func TestFactShutdownAndKeepAlivesOffCloseIdleConnectionsWithoutAWord(t *testing.T) {
	for name, end := range map[string]func(*http.Server){
		"Shutdown":                    func(srv *http.Server) { srv.Shutdown(context.Background()) },
		"SetKeepAlivesEnabled(false)": func(srv *http.Server) { srv.SetKeepAlivesEnabled(false) },
	} {
		t.Run(name, func(t *testing.T) {
			srv := servertest.NewHTTP(servertest.Hello)
			var seen states
			srv.ConnState = seen.hook
			client := clienttest.Dial(t, startBare(t, srv, servertest.Cleartext))
			client.ExpectKept(get(t, client, "/"))
			clienttest.Eventually(t, "it is idle", seen.are("new", "active", "idle"))
			end(srv)
			client.ExpectEnd()
		})
	}
}

func TestFactARequestThatWasReadAfterShutdownBeganIsDropped(t *testing.T) {
	srv := servertest.NewHTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("it was handled: go.dev/issue/75591 is fixed")
	}))
	srv.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateActive {
			expired, cancel := context.WithCancel(context.Background())
			cancel()
			srv.Shutdown(expired)
		}
	}
	client := clienttest.Dial(t, startBare(t, srv, servertest.Cleartext))
	client.Send(clienttest.Request("GET", "/"))
	client.ExpectEnd()
}

func TestFactShutdownWaitsForNoHijackedConnection(t *testing.T) {
	taken := make(chan net.Conn, 1)
	srv := servertest.NewHTTP(echoing{taken})
	client := clienttest.Dial(t, startBare(t, srv, servertest.Cleartext))
	take(t, client)
	clienttest.Receive(t, "the hijack", taken)
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	echo(t, client)
}

func TestFactMaxBytesReaderCannotCloseThroughAWrappedWriter(t *testing.T) {
	tooLarge := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3))
		if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
			t.Errorf("reading: %v", err)
		}
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	})
	post := clienttest.Request("POST", "/", "Content-Length: 5") + "12345"
	bare := clienttest.Dial(t, serveBare(t, servertest.Cleartext, tooLarge))
	bare.Send(post)
	bare.ExpectClosed(bare.Receive())

	s := serve(t, servertest.NewController(t), tooLarge)
	wrapped := clienttest.Dial(t, s.Address)
	wrapped.Send(post)
	wrapped.ExpectKept(wrapped.Receive())
}

func TestFactAHandlerIsGivenAnotherWriterThanItsTimeoutHandler(t *testing.T) {
	var inner string
	bare := clienttest.Dial(t, serveBare(t, servertest.Cleartext, http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner = interfacesOf(w)
		servertest.Hello(w, r)
	}), clienttest.Patience, "")))
	get(t, bare, "/")
	if inner != "[Pusher]" {
		t.Errorf("below http.TimeoutHandler the writer has %s", inner)
	}
	ctl := servertest.NewController(t)
	s := servertest.New(t, ctl, servertest.NewHTTP(http.TimeoutHandler(stdlib.Middleware(ctl)(http.HandlerFunc(tellInterfaces)), clienttest.Patience, ""))).Start()
	if got := clienttest.Dial(t, s.Address).Get("/").Body; got != inner {
		t.Errorf("with us it has %s", got)
	}
}
