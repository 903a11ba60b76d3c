package stdlib_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// httptest.Server puts a hook of its own in front of ours.
func TestOverHTTP2AHTTPTestServersCloseWaitsForTheRequest(t *testing.T) {
	begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
		close(ended)
	}))
	s.EnableHTTP2 = true
	if err := stdlib.Track(s.Config, servertest.NewController(t)); err != nil {
		t.Fatal(err)
	}
	s.StartTLS()
	go s.Client().Get(s.URL)
	clienttest.Receive(t, "the request", begun)
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
		t.Error("Close has returned while the handler runs")
	case <-time.After(50 * time.Millisecond): // in which it would have
	}
	close(release)
	clienttest.Receive(t, "the end of Close", closed)
	clienttest.Receive(t, "the end of the handler", ended)
}

func TestOverHTTP2AHookSeesEachConnectionAsOne(t *testing.T) {
	for name, calls := range map[string]bool{"and calls the one before": true, "and does not": false} {
		t.Run("it is set after Track "+name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				ctl := servertest.NewController(t)
				srv := servertest.NewHTTP2(servertest.Hello)
				if err := stdlib.Track(srv, ctl); err != nil {
					t.Fatal(err)
				}
				before := srv.ConnState
				var seen states
				var first net.Conn
				srv.ConnState = func(c net.Conn, state http.ConnState) {
					if state == http.StateNew {
						first = c
					} else if c != first {
						t.Errorf("%v is said of a %T", state, c)
					}
					seen.hook(c, state)
					if calls {
						before(c, state)
					}
				}
				l := servertest.Listen(t)
				servertest.Serve(t, srv, l, over)
				client := over.DialHTTP2(t, l.Addr().String())
				client.Get("/")
				client.ExpectOpen()
				client.Close()
				clienttest.Eventually(t, "the states in order", seen.are("new", "active", "idle", "active", "idle", "closed"))
				clienttest.Eventually(t, "no connection", func() bool { return ctl.Stats().Open == 0 })
			})
		})
	}
}

func TestOverHTTP2WhatElseServesItSinceTrack(t *testing.T) {
	for name, turnOn := range map[string]func(*http.Server) error{
		"ConfigureServer": func(srv *http.Server) error { return http2.ConfigureServer(srv, nil) },
		"Protocols": func(srv *http.Server) error {
			srv.Protocols = servertest.NewHTTP2(nil).Protocols
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				t.Parallel()
				ctl := servertest.NewController(t)
				srv := servertest.NewHTTP2(servertest.Hello)
				if name == "Protocols" {
					srv.Protocols = new(http.Protocols)
					srv.Protocols.SetHTTP1(true)
				}
				if err := stdlib.Track(srv, ctl); err != nil {
					t.Fatal(err)
				}
				if err := turnOn(srv); err != nil {
					t.Fatal(err)
				}
				l := servertest.Listen(t)
				servertest.Serve(t, srv, l, over)
				client := over.DialHTTP2(t, l.Addr().String())
				client.Get("/")
				ctl.Drain()
				client.Get("/")
				client.ExpectEnd()
				client.Close()
				polite := len(client.LastStreams) == 2 && client.LastStreams[0] == 1<<31-1
				// Since Go 1.27 it goes past us.
				if said := impaired(ctl, name); polite != (said == 0) {
					t.Errorf("the GOAWAYs name the streams %v, and it was counted %d times", client.LastStreams, said)
				}
			})
		})
	}
}
