package stdlib_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestKeepAliveIsAdvertisedOnlyWhereTheConnectionStays(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
	srv.IdleTimeout = 60 * time.Second
	s := servertest.New(t, ctl, srv).Start(stdlib.AdvertiseKeepAlive(1500 * time.Millisecond))

	c := clienttest.Dial(t, s.Address)
	kept := get(t, c, "/")
	if got := kept.Header.Get("Keep-Alive"); got != "timeout=58" {
		t.Errorf("Keep-Alive: %q, want the whole seconds of 60s - 1.5s", got)
	}
	c.ExpectKept(kept)
	closed := get(t, c, "/login")
	if got := closed.Header["Keep-Alive"]; got != nil {
		t.Errorf("an announced close carries Keep-Alive: %q", got)
	}
	c.ExpectClosed(closed)

	c = clienttest.Dial(t, s.Address)
	if got := get(t, c, "/", "Connection: close").Header["Keep-Alive"]; got != nil {
		t.Errorf("the answer to a client that closes carries Keep-Alive: %q", got)
	}
}

func TestNoKeepAliveStandsBesideACloseOfNetHTTPsOwn(t *testing.T) {
	started := make(chan struct{})
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			leaving := core.Leaving(r.Context())
			close(started)
			<-leaving
			return
		}
		w.Header().Set("Transfer-Encoding", "identity")
	}))
	srv.IdleTimeout = 60 * time.Second
	s := servertest.New(t, ctl, srv).Start(stdlib.AdvertiseKeepAlive(time.Second))
	expectNone := func(c *clienttest.Conn, response clienttest.Response) {
		t.Helper()
		if got := response.Header["Keep-Alive"]; got != nil {
			t.Errorf("a close of net/http's carries Keep-Alive: %q", got)
		}
		c.ExpectClosed(response)
	}

	c := clienttest.Dial(t, s.Address)
	expectNone(c, c.Get("/identity"))

	c = clienttest.Dial(t, s.Address)
	c.Send(clienttest.Request("GET", "/stream"))
	clienttest.Receive(t, "the stream", started)
	ended := make(chan error, 1)
	go func() { ended <- srv.Shutdown(context.Background()) }()
	expectNone(c, c.Receive())
	c.Close()
	if err := clienttest.Receive(t, "the end of Shutdown", ended); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
}

func TestAKeepAliveThatCannotBeAdvertisedIsAnError(t *testing.T) {
	for _, c := range []struct {
		idle, read, margin time.Duration
		names              []string
	}{
		{0, 0, time.Second, []string{"AdvertiseKeepAlive", "IdleTimeout"}},
		{-1, 5 * time.Second, time.Second, []string{"AdvertiseKeepAlive", "IdleTimeout"}},
		{5 * time.Second, 0, 4500 * time.Millisecond, []string{"AdvertiseKeepAlive", "4.5s", "5s"}},
		{5 * time.Second, 0, 0, []string{"AdvertiseKeepAlive", "0s", "greater than 0"}},
		{5 * time.Second, 0, -time.Second, []string{"AdvertiseKeepAlive", "-1s"}},
	} {
		srv := &http.Server{IdleTimeout: c.idle, ReadTimeout: c.read}
		_, err := stdlib.Serve(context.Background(), srv, servertest.NewController(t), stdlib.On(servertest.Listen(t)), stdlib.AdvertiseKeepAlive(c.margin))
		for _, name := range c.names {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("IdleTimeout %v, ReadTimeout %v, margin %v: %v does not say %q", c.idle, c.read, c.margin, err, name)
			}
		}
	}
}

func TestEveryServeOfAServerAdvertisesTheSame(t *testing.T) {
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello))
	srv.IdleTimeout = 60 * time.Second
	first := servertest.New(t, ctl, srv).Start(stdlib.AdvertiseKeepAlive(time.Second))
	second := servertest.New(t, ctl, srv).Start(stdlib.AdvertiseKeepAlive(time.Second))
	for _, s := range []*servertest.Server{first, second} {
		response := get(t, clienttest.Dial(t, s.Address), "/")
		if got := response.Header["Keep-Alive"]; len(got) != 1 || got[0] != "timeout=59" {
			t.Errorf("Keep-Alive: %q", got)
		}
	}
	for _, opts := range [][]stdlib.ServeOption{nil, {stdlib.AdvertiseKeepAlive(3 * time.Second)}} {
		_, err := stdlib.Serve(context.Background(), srv, ctl, append(opts, stdlib.On(servertest.Listen(t)))...)
		if err == nil || !strings.Contains(err.Error(), "AdvertiseKeepAlive") || !strings.Contains(err.Error(), "59 s") {
			t.Errorf("a third Serve that advertises something else returned %v", err)
		}
	}
}
