package stdlib_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestAConnectionHeaderOfTheHandlersOwnIsMadeExact(t *testing.T) {
	setting := func(key string, values ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header()[key] = values
			servertest.Hello(w, r)
		}
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"close", setting("Connection", "close")},
		{"Close, which net/http takes for keep-alive", setting("Connection", "Close")},
		{"CLOSE", setting("Connection", "CLOSE")},
		{"white space around it", setting("Connection", " close\t")},
		{"close before another option", setting("Connection", "close, X-Hop")},
		{"close after another option", setting("Connection", "X-Hop,close")},
		{"keep-alive and close in one line", setting("Connection", "keep-alive, Close")},
		{"keep-alive and close in two lines", setting("Connection", "keep-alive", "close")},
		{"close and keep-alive in two lines", setting("Connection", "close", "keep-alive")},
		{"a key that is not canonical", setting("connection", "close")},
		{"a key that is not canonical beside one that is", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "X-Hop")
			setting("connection", "close")(w, r)
		}},
		{"set, and nothing else written", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Connection", "Close")
		}},
		{"added to one that was set", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "keep-alive")
			w.Header().Add("Connection", "close")
			servertest.Hello(w, r)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			s := serve(t, ctl, c.handler)
			client := clienttest.Dial(t, s.Address)
			client.ExpectClosed(client.Get("/"))
			expectOneClose(t, ctl, core.ReasonHandler)
		})
	}
	t.Run("keep-alive gives way to a drain", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, setting("Connection", "keep-alive"))
		client := clienttest.Dial(t, s.Address)
		if r := client.Get("/"); !slices.Equal(r.Connection, []string{"keep-alive"}) {
			t.Errorf("before the drain Connection is %q", r.Connection)
		}
		ctl.Drain()
		client.ExpectClosed(client.Get("/"))
	})
	for _, value := range []string{"closed", "x-close", "keep-alive"} {
		t.Run(value+" does not ask for a close", func(t *testing.T) {
			ctl := servertest.NewController(t)
			s := serve(t, ctl, setting("Connection", value))
			client := clienttest.Dial(t, s.Address)
			if r := client.Get("/"); !slices.Equal(r.Connection, []string{value}) {
				t.Errorf("Connection is %q, want the handler's", r.Connection)
			}
			client.ExpectOpen()
			expectOneClose(t, ctl, "none")
		})
	}
}

// erasing is a middleware above ours that takes the announcement away.
func erasing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&eraser{w}, r)
		w.Header().Del("Connection")
	})
}

type eraser struct{ http.ResponseWriter }

func (e *eraser) WriteHeader(status int) {
	e.Header().Del("Connection")
	e.ResponseWriter.WriteHeader(status)
}

func (e *eraser) Write(p []byte) (int, error) {
	e.Header().Del("Connection")
	return e.ResponseWriter.Write(p)
}

func TestAHandAboveTheMiddlewareDoesNotTakeTheAnnouncementAway(t *testing.T) {
	for _, c := range everyReason {
		t.Run(string(c.reason), func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				ctl := servertest.NewController(t, c.opts...)
				s := servertest.New(t, ctl, servertest.NewHTTP(erasing(stdlib.Middleware(ctl)(app())))).Start(over.Opts...)
				client := over.Dial(t, s.Address)
				if c.before != nil {
					c.before(ctl)
				}
				client.ExpectClosed(client.Get(c.path))
			})
		})
	}
}

func TestTheClientsOwnCloseAsksNoRule(t *testing.T) {
	never := core.OnMatch("asked", func(*http.Request) bool {
		t.Error("a rule was asked")
		return false
	})
	for _, c := range []struct {
		name, request string
		header        string // the Connection field of the handler's
		want          []string
	}{
		{"HTTP/1.1 with close", clienttest.Request("GET", "/", "Connection: close"), "", []string{"close"}},
		{"HTTP/1.1 with Close", clienttest.Request("GET", "/", "Connection: Close"), "", []string{"close"}},
		{"HTTP/1.1 with close among others", clienttest.Request("GET", "/", "Connection: X-Hop, close", "X-Hop: 1"), "", []string{"close"}},
		{"HTTP/1.1 against the handler's keep-alive", clienttest.Request("GET", "/", "Connection: close"), "keep-alive", []string{"close"}},
		{"HTTP/1.0, which closes without a word", "GET / HTTP/1.0\r\nHost: test\r\n\r\n", "", nil},
		{"HTTP/1.0 against the handler's keep-alive", "GET / HTTP/1.0\r\nHost: test\r\n\r\n", "keep-alive", []string{"close"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
				ctl := servertest.NewController(t, never, core.OnRequestCount(1), core.OnAge(1), core.Budget(1e-9, 1))
				s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if c.header != "" {
						w.Header().Set("Connection", c.header)
					}
					servertest.Hello(w, r)
				}), over.Opts...)
				client := over.Dial(t, s.Address)
				client.Send(c.request)
				r := client.Receive()
				if !slices.Equal(r.Connection, c.want) {
					t.Errorf("Connection is %q, want %q", r.Connection, c.want)
				}
				client.ExpectEnd()
				stats := ctl.Stats()
				if stats.ClientInitiated != 1 || stats.HeldBack != 0 {
					t.Errorf("%d closes by clients and %d held back are counted, want 1 and 0", stats.ClientInitiated, stats.HeldBack)
				}
				expectOneClose(t, ctl, "none")
			})
		})
	}
}

func TestHTTP10KeepAliveIsKeptAndAnnounced(t *testing.T) {
	const request = "GET / HTTP/1.0\r\nHost: test\r\nConnection: keep-alive\r\n\r\n"
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, servertest.Hello, over.Opts...)
		client := over.Dial(t, s.Address)
		for range 2 {
			client.Send(request)
			if r := client.Receive(); !slices.Equal(r.Connection, []string{"keep-alive"}) {
				t.Errorf("Connection is %q, want keep-alive", r.Connection)
			}
		}
		ctl.Drain()
		client.Send(request)
		client.ExpectClosed(client.Receive())
		if n := ctl.Stats().ClientInitiated; n != 0 {
			t.Errorf("%d closes by clients are counted", n)
		}
	})
}

func TestARequestPipelinedBehindAnAnnouncedCloseIsNotHandled(t *testing.T) {
	ctl := servertest.NewController(t)
	handled := make(chan string, 2)
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handled <- r.URL.Path
		servertest.Hello(w, r)
	}))
	ctl.Drain()
	client := clienttest.Dial(t, s.Address)
	client.Send(clienttest.Request("GET", "/first") + clienttest.Request("GET", "/second"))
	client.ExpectClosed(client.Receive())
	client.Close()
	s.ExpectStats("no connection", func(s core.Stats) bool { return s.Open == 0 })
	if got := len(handled); got != 1 {
		t.Errorf("%d requests were handled, want the first one only", got)
	}
}

func TestWhatNoHandlerSees(t *testing.T) {
	t.Run("OPTIONS * is announced", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, app())
		ctl.Drain()
		client := clienttest.Dial(t, s.Address)
		client.Send(clienttest.Request("OPTIONS", "*"))
		client.ExpectClosed(client.Receive())
	})
	t.Run("a request that net/http refuses is not", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, app())
		client := clienttest.Dial(t, s.Address)
		client.Send("GET / HTTP/1.1\r\n\r\n") // without Host
		r := client.Receive()
		if r.Status != http.StatusBadRequest {
			t.Errorf("the status is %d", r.Status)
		}
		client.ExpectClosed(r)
		if n := ctl.Stats().Exchanges; n != 0 {
			t.Errorf("%d exchanges are counted", n)
		}
	})
}

func TestAHandlerThatAbortsCutsItsResponseAndLeavesNoCount(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			servertest.Hello(w, nil)
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), over.Opts...)
		client := over.Dial(t, s.Address)
		client.Send(clienttest.Request("GET", "/"))
		r, err := client.TryReceive()
		if err != nil || r.Truncated == nil || r.Body != "hello" {
			t.Errorf("the client got %q, %v, %v; want a response cut off", r.Body, r.Truncated, err)
		}
		s.ExpectStats("nothing is open or in flight", func(s core.Stats) bool {
			return s.InFlight == 0 && s.Open == 0 && s.Active == 0
		})
		if n := ctl.Stats().Exchanges; n != 1 {
			t.Errorf("%d exchanges are counted, want 1", n)
		}
	})
}

func TestAnInformationalResponseCarriesNoConnectionField(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header()["connection"] = []string{"close"}
			w.WriteHeader(http.StatusProcessing)
			servertest.Hello(w, r)
		}), over.Opts...)
		for range 2 { // by the handler's word, and in a drain
			client := over.Dial(t, s.Address)
			r := client.Get("/")
			if len(r.Informational) != 2 {
				t.Errorf("%d informational responses came, want 2", len(r.Informational))
			}
			for _, header := range r.Informational {
				if header["Connection"] != nil || header.Get("Link") == "" {
					t.Errorf("an informational response has the header %v", header)
				}
			}
			client.ExpectClosed(r)
			ctl.Drain()
		}
	})
}

// A client that waits for 100 Continue has not sent its body, and a handler that
// does not read it must not make it.
func TestTheEndOfAnExchangeDoesNotAskForTheBody(t *testing.T) {
	t.Run("a client that expects 100 Continue is not told to go on", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		ctl.Drain()
		client := clienttest.Dial(t, s.Address)
		client.Send(clienttest.Request("POST", "/", "Expect: 100-continue", "Content-Length: 5"))
		r := client.Receive()
		if len(r.Informational) > 0 {
			t.Error("the server asked for the body")
		}
		client.Send("12345") // net/http does not close before
		client.ExpectClosed(r)
	})
	t.Run("a reader that the handler put there is not read", func(t *testing.T) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			r.Body = unreadable{t}
		}))
		ctl.Drain()
		client := clienttest.Dial(t, s.Address)
		client.Send(clienttest.Request("POST", "/", "Content-Length: 5") + "12345")
		client.ExpectClosed(client.Receive())
	})
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, nil
}

func (u unreadable) Close() error { return nil }

func TestEveryWayToWriteCommitsInTime(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		body    string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, ""},
		{"WriteHeader", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, ""},
		{"Write", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) }, "hello"},
		{"WriteString", servertest.Hello, "hello"},
		{"ReadFrom", func(w http.ResponseWriter, _ *http.Request) {
			w.(io.ReaderFrom).ReadFrom(strings.NewReader("hello"))
		}, "hello"},
		{"Flush", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			servertest.Hello(w, r)
		}, "hello"},
		{"FlushError", func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			servertest.Hello(w, r)
		}, "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			// The drain begins while the handler runs: too late for a
			// middleware that decides before it.
			s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctl.Drain()
				c.handler(w, r)
			}))
			client := clienttest.Dial(t, s.Address)
			r := client.Get("/")
			if r.Body != c.body {
				t.Errorf("the body is %q", r.Body)
			}
			client.ExpectClosed(r)
		})
	}
}
