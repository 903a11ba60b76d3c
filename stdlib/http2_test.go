package stdlib_test

import (
	"crypto/tls"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// serveHTTP2 is serve, and a client that has connected.
type serveHTTP2 func(*core.Controller, http.Handler, ...stdlib.ServeOption) (*servertest.Server, *clienttest.HTTP2)

// overEachHTTP2 runs a test over TLS and in servertest.Cleartext, both at a time.
func overEachHTTP2(t *testing.T, test func(*testing.T, serveHTTP2)) {
	t.Helper()
	t.Run("TLS", func(t *testing.T) {
		t.Parallel()
		test(t, func(ctl *core.Controller, handler http.Handler, opts ...stdlib.ServeOption) (*servertest.Server, *clienttest.HTTP2) {
			s := serve(t, ctl, handler, append(opts, servertest.OverTLS.Opts...)...)
			return s, clienttest.DialHTTP2(t, s.Address)
		})
	})
	t.Run("cleartext", func(t *testing.T) {
		t.Parallel()
		test(t, func(ctl *core.Controller, handler http.Handler, opts ...stdlib.ServeOption) (*servertest.Server, *clienttest.HTTP2) {
			srv := servertest.NewHTTP(stdlib.Middleware(ctl)(handler))
			srv.Protocols = new(http.Protocols)
			srv.Protocols.SetHTTP1(true)
			srv.Protocols.SetUnencryptedHTTP2(true)
			s := servertest.New(t, ctl, srv).Start(opts...)
			return s, clienttest.DialUnencryptedHTTP2(t, s.Address)
		})
	})
}

func TestOverHTTP2EveryReasonIsAGoAway(t *testing.T) {
	for _, c := range everyReason {
		t.Run(string(c.reason), func(t *testing.T) {
			overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
				ctl := servertest.NewController(t, c.opts...)
				_, client := serve(ctl, app())
				if c.reason != core.ReasonAge { // of an age of 1 ns a silent one is told within a second
					client.ExpectOpen()
				}
				if c.before != nil {
					c.before(ctl)
				}
				if r := client.Get(c.path); r.Status == 0 || r.Connection != nil {
					t.Errorf("the response is %+v", r)
				}
				client.ExpectGoAway()
				expectOneClose(t, ctl, c.reason)
				client.Close()
			})
		})
	}
}

// Several released clients take any GOAWAY for the failure of every open stream, so
// it leaves behind the response that triggers it.
func TestOverHTTP2TheFirstGoAwayIsBehindItsResponseAndSaysWhy(t *testing.T) {
	times := 10
	if full {
		times = 100
	}
	for _, c := range everyReason {
		if c.reason == core.ReasonAge {
			continue // with an age of 1 ns the connection may be told before it asks
		}
		t.Run(string(c.reason), func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				ctl := servertest.NewController(t, append(c.opts, core.Budget(math.Inf(1), 1))...)
				s := servertest.New(t, ctl, servertest.NewHTTP2(app())).Start(over.Opts...)
				if c.before != nil {
					c.before(ctl)
				}
				for range times {
					client := over.DialHTTP2(t, s.Address)
					asked := time.Now()
					client.Get(c.path)
					if client.GoAway != nil && time.Since(asked) < 250*time.Millisecond {
						t.Fatal("the GOAWAY came before the end of the response")
					}
					client.ExpectGoAway()
					if why := client.DebugData[0]; why != string(c.reason) || client.LastStreams[0] != 1<<31-1 {
						t.Errorf("it says %q and names the stream %d", why, client.LastStreams[0])
					}
					client.Close()
				}
			})
		})
	}
}

func TestOverHTTP2TheFirstGoAwayOfADrainIsBehindTheResponsesUnderWay(t *testing.T) {
	const streams = 3
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		t.Parallel()
		entered, release := make(chan struct{}, streams), make(chan struct{})
		s := servertest.New(t, servertest.NewController(t), servertest.NewHTTP2(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			entered <- struct{}{}
			<-release
			servertest.Hello(w, r)
		}))).Start(append(over.Opts, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))...)
		client := over.DialHTTP2(t, s.Address)
		var open []uint32
		for range streams {
			open = append(open, client.Start("/"))
			clienttest.Receive(t, "a request", entered)
		}
		drained := time.Now()
		s.Drain()
		s.ListenerIsClosed()
		close(release)
		for _, stream := range open {
			client.Finish(stream)
		}
		if client.GoAway != nil && time.Since(drained) < 250*time.Millisecond {
			t.Error("the GOAWAY came before the end of the responses")
		}
		client.ExpectEnd()
		client.Close()
		if report := s.MustEnd(); report.Announced != 1 || report.Forced != 0 {
			t.Errorf("the report is %+v", report)
		}
	})
}

func TestOverHTTP2AnIdleConnectionIsToldTwice(t *testing.T) {
	const idleTimeout = time.Minute
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		synctest.Test(t, func(t *testing.T) {
			srv, p := servertest.NewHTTP2(servertest.Hello), newPipes()
			srv.IdleTimeout = idleTimeout
			s := servertest.NewOn(t, p, servertest.NewController(t), srv).Start(over.Opts...)
			conn := p.dial()
			defer conn.Close()
			if over.TLS() {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http2.NextProtoTLS}})
			}
			client := clienttest.NewHTTP2(t, conn)
			client.Get("/")
			served := time.Now()
			client.ExpectGoAway()
			if client.LastStreams[0] != 1<<31-1 || client.DebugData[0] != "idle" {
				t.Fatalf("the first GOAWAY names the stream %d and says %q", client.LastStreams[0], client.DebugData[0])
			}
			if took := time.Since(served); took < idleTimeout-3*time.Second || took >= idleTimeout {
				t.Errorf("it is told after %v", took)
			}
			if r := client.Get("/crossing"); r.Body != "hello" {
				t.Errorf("a request that crossed the first GOAWAY was answered with %+v", r)
			}
			client.ExpectEnd()
			s.Drain()
			s.MustEnd()
		})
	})
}

func TestOverHTTP2WithoutAReasonTheConnectionIsKept(t *testing.T) {
	overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
		ctl := servertest.NewController(t, core.OnAge(time.Hour), core.OnRequestCount(1000), core.OnRoutes("/login"))
		_, client := serve(ctl, app())
		for range 3 {
			client.Get("/")
			client.ExpectOpen()
		}
		expectOneClose(t, ctl, "none")
	})
}

// net/http strips Connection from a final response, and not from a 1xx, where it
// is illegal (RFC 9113 §8.2.2).
func TestOverHTTP2NoConnectionFieldIsSent(t *testing.T) {
	for _, value := range []string{"close", "Close", "keep-alive, close", "keep-alive"} {
		t.Run(value, func(t *testing.T) {
			ctl := servertest.NewController(t)
			s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", value)
				w.Header().Set("Link", "</style.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
				servertest.Hello(w, r)
			}), servertest.OverTLS.Opts...)
			client := clienttest.DialHTTP2(t, s.Address)
			ctl.Drain()
			r := client.Get("/")
			if len(r.Informational) != 1 {
				t.Errorf("%d informational responses came, want 1", len(r.Informational))
			}
			for _, header := range append(r.Informational, r.Header) {
				if header["connection"] != nil || header["link"] == nil {
					t.Errorf("a header is %v", header)
				}
			}
			client.ExpectGoAway()
			client.Close()
		})
	}
}

func TestOverHTTP2AHandlersOwnSpellingOfCloseIsAGoAway(t *testing.T) {
	for _, values := range [][]string{{"close"}, {"Close"}, {"close, X-Hop"}, {"keep-alive", "close"}} {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Connection"] = slices.Clone(values)
			servertest.Hello(w, r)
		}), servertest.OverTLS.Opts...)
		client := clienttest.DialHTTP2(t, s.Address)
		client.Get("/")
		client.ExpectGoAway()
		client.Close()
		expectOneClose(t, ctl, core.ReasonHandler)
	}
}

func TestOverHTTP2TheOtherStreamsOfAnAnnouncedConnectionEnd(t *testing.T) {
	overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
		entered, release := make(chan struct{}, 3), make(chan struct{})
		ctl := servertest.NewController(t, core.OnRoutes("/login"))
		s, client := serve(ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/slow" {
				entered <- struct{}{}
				<-release
			}
			servertest.Hello(w, r)
		}))
		slow := []uint32{client.Start("/slow"), client.Start("/slow"), client.Start("/slow")}
		for range slow {
			clienttest.Receive(t, "a request", entered)
		}
		s.ExpectStats("three are in flight on one connection", func(s core.Stats) bool {
			return s.InFlight == 3 && s.Open == 1 && s.Active == 1
		})
		client.Get("/login")
		close(release)
		for _, stream := range slow {
			if r := client.Finish(stream); r.Body != "hello" || r.Connection != nil {
				t.Errorf("stream %d has the response %+v", stream, r)
			}
		}
		client.ExpectGoAway()
		expectOneClose(t, ctl, core.ReasonRoute) // one connection, however many responses
		client.Close()
		s.ExpectStats("nothing is left", func(s core.Stats) bool { return s.Open == 0 && s.InFlight == 0 && s.Active == 0 })
	})
}

// A stream that asks for its connection's end when its header has left goes on,
// as one does that asked before.
func TestOverHTTP2AStreamThatAsksLateForTheEndIsNotToldToLeave(t *testing.T) {
	type asks func(ctl *core.Controller, r *http.Request)
	for name, ask := range map[string]asks{
		"CloseAfter": func(_ *core.Controller, r *http.Request) { core.CloseAfter(r.Context(), core.ReasonHandler) },
		"Sensitive": func(ctl *core.Controller, r *http.Request) {
			stdlib.Sensitive(ctl)(servertest.Hello).ServeHTTP(httptest.NewRecorder(), r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
				ctl := servertest.NewController(t)
				_, client := serve(ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					http.NewResponseController(w).Flush()
					ask(ctl, r)
					select {
					case <-core.Leaving(r.Context()):
						t.Errorf("the stream was told to leave: %q", core.LeavingReason(r.Context()))
					default:
					}
					if _, announced := core.Announced(r.Context()); !announced {
						t.Error("Announced says that nothing is announced")
					}
				}))
				client.Get("/")
				client.ExpectGoAway()
				client.Close()
			})
		})
	}
}

// Told before its first request, Go's client comes again, is told again, and in the
// end fails a request that it has not sent.
func TestOverHTTP2WhoComesInADrainIsToldWithTheFirstResponse(t *testing.T) {
	overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
		ctl := servertest.NewController(t)
		ctl.Drain() // the listener stays open, as in the lame duck
		_, client := serve(ctl, servertest.Hello)
		client.ExpectOpen()
		if r := client.Get("/"); r.Body != "hello" {
			t.Errorf("the response is %+v", r)
		}
		client.ExpectGoAway()
		client.Close()
	})
}

func TestOverHTTP2TheDrainEndsWithTheConnections(t *testing.T) {
	overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
		s, client := serve(servertest.NewController(t), servertest.Hello, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
		client.Get("/")
		client.ExpectOpen()
		s.Drain()
		s.ListenerIsClosed()
		if r := client.Get("/"); r.Body != "hello" {
			t.Errorf("the response is %+v", r)
		}
		client.ExpectEnd()
		client.Close()
		if report := s.MustEnd(); report.Announced != 1 || report.Served != 1 || report.ClosedIdle != 0 || report.Forced != 0 {
			t.Errorf("the report is %+v", report)
		}
	})
}

func TestOverHTTP2AnIdleConnectionIsClosedAfterTheGrace(t *testing.T) {
	overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
		s, client := serve(servertest.NewController(t), servertest.Hello, stdlib.IdleGrace(50*time.Millisecond), stdlib.DrainTimeout(far))
		client.Get("/")
		client.ExpectOpen()
		s.ExpectStats("it is idle", func(s core.Stats) bool { return s.Idle == 1 })
		s.Drain()
		for {
			if err := client.Step(); err != nil {
				break
			}
		}
		client.Close()
		if report := s.MustEnd(); report.Forced != 0 || report.Announced+report.ClosedIdle != 1 {
			t.Errorf("the report is %+v", report)
		}
	})
}

// No response tells an idle connection, so the drain does, when its moment in the
// spread has come.
func TestOverHTTP2AnIdleConnectionIsToldInASpreadDrain(t *testing.T) {
	const connections, spread = 20, 200 * time.Millisecond
	ctl := servertest.NewController(t, core.DrainSpread(spread))
	s := serve(t, ctl, servertest.Hello, append(servertest.OverTLS.Opts, stdlib.IdleGrace(0), stdlib.DrainTimeout(far))...)
	clients := make([]*clienttest.HTTP2, connections)
	for i := range clients {
		clients[i] = clienttest.DialHTTP2(t, s.Address)
		clients[i].Get("/")
	}
	s.AreIdle(connections)
	began := time.Now()
	s.Drain()
	for _, c := range clients {
		c.ExpectGoAway()
		c.Close()
	}
	if took := time.Since(began); took < spread*8/10 {
		t.Errorf("all were told within %v", took)
	}
	if report := s.MustEnd(); report.Announced != connections || report.ClosedIdle != 0 || report.Forced != 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestOverHTTP2AnAbortResetsTheStreamAndNotTheConnection(t *testing.T) {
	ctl := servertest.NewController(t)
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		servertest.Hello(w, r)
	}), servertest.OverTLS.Opts...)
	client := clienttest.DialHTTP2(t, s.Address)
	if r := client.Finish(client.Start("/abort")); r.Truncated == nil {
		t.Errorf("the response that was aborted is whole: %+v", r)
	}
	if r := client.Get("/"); r.Body != "hello" {
		t.Errorf("the next response is %+v", r)
	}
	client.ExpectOpen()
	s.ExpectStats("nothing is in flight", func(s core.Stats) bool { return s.InFlight == 0 && s.Exchanges == 2 })
}

// RFC 9113 §6.8: the first GOAWAY accepts every stream, the second one, after a
// round trip, names the last. net/http alone sends only the second one.
func TestOverHTTP2TheFirstGoAwayAcceptsEveryStream(t *testing.T) {
	for name, end := range map[string]func(*servertest.Server, *clienttest.HTTP2){
		"of an idle connection in a drain": func(s *servertest.Server, _ *clienttest.HTTP2) { s.Drain() },
		"of one connection's own close":    func(_ *servertest.Server, c *clienttest.HTTP2) { c.Get("/login") },
	} {
		t.Run(name, func(t *testing.T) {
			overEachHTTP2(t, func(t *testing.T, serve serveHTTP2) {
				s, client := serve(servertest.NewController(t, core.OnRoutes("/login")), servertest.Hello, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
				client.Get("/")
				client.ExpectOpen()
				end(s, client)
				client.ExpectGoAway()
				if r := client.Get("/crossing"); r.Body != "hello" {
					t.Errorf("a request that crossed the first GOAWAY was answered with %+v", r)
				}
				client.ExpectEnd()
				client.Close()
				if last := client.LastStreams; len(last) != 2 || last[0] != 1<<31-1 || last[1] >= last[0] || last[1] == 0 {
					t.Errorf("the GOAWAYs name the streams %v", last)
				}
				s.Drain()
				if report := s.MustEnd(); report.ClosedIdle != 0 || report.Forced != 0 {
					t.Errorf("the report is %+v", report)
				}
			})
		})
	}
}

// The client reads nothing behind the first GOAWAY, which came before the drain, and
// so acknowledges none.
func TestOverHTTP2WhatWasToldBeforeTheDrainAndHasNotGoneIsInTheReport(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	s := servertest.New(t, ctl, servertest.NewHTTP2(servertest.Hello)).Start(stdlib.DrainTimeout(50 * time.Millisecond))
	client := clienttest.DialUnencryptedHTTP2(t, s.Address)
	client.Get("/login")
	clienttest.Eventually(t, "it is told", func() bool { return ctl.Stats().Closes[core.ReasonRoute] == 1 })
	s.Drain()
	report, err := s.Wait()
	if !errors.Is(err, stdlib.ErrDrainTimeout) || report.Announced != 1 || report.Forced != 0 || report.ClosedIdle != 0 {
		t.Errorf("the report is %+v, %v", report, err)
	}
}

func TestOverHTTP2AStreamAfterTheAcknowledgedGoAwayIsCounted(t *testing.T) {
	s := serve(t, servertest.NewController(t), servertest.Hello, append(servertest.OverTLS.Opts, stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))...)
	client := clienttest.DialHTTP2(t, s.Address)
	client.Get("/")
	client.ExpectOpen()
	s.Drain()
	for len(client.LastStreams) < 2 {
		if err := client.Step(); err != nil {
			t.Fatal(err)
		}
	}
	client.Start("/ignorant")
	client.ExpectEnd()
	client.Close()
	if report := s.MustEnd(); report.InputAfterAnnounce != 1 {
		t.Errorf("the report is %+v", report)
	}
}
