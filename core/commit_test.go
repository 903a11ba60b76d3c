package core

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// FuzzCommitPoint runs a sequence of writer calls and compares what leaves with
// a plain model: the header is decided by all that happened before the first
// final write, and by nothing after it.
func FuzzCommitPoint(f *testing.F) {
	f.Add([]byte{0, 2})
	f.Add([]byte{9, 0, 1, 2})
	f.Add([]byte{7, 5, 10, 2})
	f.Add([]byte{8, 0, 11, 3})
	f.Add([]byte{10, 12})
	f.Add([]byte{10, 13, 2})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, calls []byte) {
		testCommitPoint(t, calls, exchange, false)
		testCommitPoint(t, calls, throughEntry, true)
	})
}

// throughEntry is exchange on a server that has an Entry.
func throughEntry(c *Controller, r *http.Request, handler func(http.ResponseWriter, *http.Request)) *fakeWriter {
	w := newFakeWriter()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	NewEntry(c, http.HandlerFunc(handler)).ServeHTTP(w, r.WithContext(ctx))
	w.end()
	return w
}

type runExchange func(*Controller, *http.Request, func(http.ResponseWriter, *http.Request)) *fakeWriter

func testCommitPoint(t *testing.T, calls []byte, run runExchange, entered bool) {
	c := newController(t, OnStatus(413))
	conn := openConnection(c)
	var (
		committed, drains, asked bool
		left                     []string // the Connection field as the handler left it
		want                     []string // as it should leave
		announced                bool
	)
	commit := func(status int) {
		if committed {
			return
		}
		committed, want = true, slices.Clone(left)
		if status == 101 {
			return
		}
		if drains || asked || status == 413 || len(left) > 0 && strings.EqualFold(left[0], "close") {
			announced, want = true, []string{"close"}
		}
	}
	w := run(c, requestOn(conn, "/"), func(w http.ResponseWriter, r *http.Request) {
		for _, call := range calls {
			switch call % 15 {
			case 0:
				w.WriteHeader(103)
			case 1:
				commit(200)
				w.WriteHeader(200)
			case 2:
				commit(200)
				w.Write(nil)
			case 3:
				commit(200)
				w.(http1Shape).WriteString("x")
			case 4:
				commit(200)
				w.(http1Shape).ReadFrom(strings.NewReader("x"))
			case 5:
				commit(200)
				w.(http1Shape).Flush()
			case 6:
				commit(200)
				w.(http1Shape).FlushError()
			case 7:
				left = []string{"keep-alive"}
				w.Header()["Connection"] = slices.Clone(left)
			case 8:
				left = []string{"Close"}
				w.Header()["Connection"] = slices.Clone(left)
			case 9:
				if CloseAfter(r.Context(), ReasonHandler) == committed {
					t.Errorf("CloseAfter said %v after the header had left: %v", !committed, committed)
				}
				asked = true
			case 10:
				drains = true
				c.Drain()
			case 11:
				left = nil
				w.Header().Del("Connection")
			case 12:
				commit(101)
				w.WriteHeader(101)
			case 13:
				if !committed {
					commit(101)
					w.(http1Shape).Hijack()
				}
			case 14:
				commit(413)
				w.WriteHeader(413)
			}
		}
	})
	commit(200)
	for _, h := range w.informational {
		if h["Connection"] != nil {
			t.Errorf("%v: a 1xx carries Connection: %v", calls, h["Connection"])
		}
	}
	if !w.hijacked && !slices.Equal(w.sent["Connection"], want) {
		t.Errorf("%v: Connection: %v left, want %v", calls, w.sent["Connection"], want)
	}
	if _, marked := conn.Mark(); marked != announced {
		t.Errorf("%v: marked %v, announced %v", calls, marked, announced)
	}
	if entered && !w.hijacked && !slices.Equal(w.header["Connection"], left) {
		t.Errorf("%v: the handler's map has Connection: %v, and the handler left %v", calls, w.header["Connection"], left)
	}
	if s := c.Stats(); s.InFlight != 0 || s.Exchanges != 1 {
		t.Errorf("%v: %d in flight and %d exchanges after one", calls, s.InFlight, s.Exchanges)
	}
}

func TestTheHeaderIsExactlyClose(t *testing.T) {
	for _, left := range []http.Header{
		{},
		{"Connection": {"keep-alive"}},
		{"Connection": {"Close"}},
		{"Connection": {"close", "keep-alive"}},
		{"Connection": {"keep-alive, close"}},
		{"Connection": {"X-Hop"}},
		{"connection": {"keep-alive"}},
		{"CONNECTION": {"x"}},
	} {
		c := newController(t)
		c.Drain()
		w := exchange(c, requestOn(openConnection(c), "/"), func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range left {
				w.Header()[k] = slices.Clone(v)
			}
		})
		if len(w.sent) != 1 || !w.announces() {
			t.Errorf("a handler left %v: %v was sent", left, w.sent)
		}
	}
}

func TestAHandlersOwnSpellingOfCloseGetsARealOne(t *testing.T) {
	for _, values := range [][]string{{"Close"}, {"close, X"}, {"keep-alive", "close"}, {" CLOSE "}, {"X,\tclose"}} {
		c := newController(t)
		conn := openConnection(c)
		w := exchange(c, requestOn(conn, "/"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Connection"] = values
		})
		if reason, _ := conn.Mark(); !w.announces() || reason != ReasonHandler || !conn.SetState(http.StateIdle) {
			t.Errorf("%q: sent %q, reason %q", values, w.sent["Connection"], reason)
		}
	}
}

func TestAHandlersOtherConnectionOptionsAreLeftAloneOnAConnectionThatStays(t *testing.T) {
	for _, values := range [][]string{{"keep-alive"}, {"closed"}, {"X-Hop, Y"}, {"disclose"}} {
		c := newController(t)
		w := exchange(c, requestOn(openConnection(c), "/"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Connection"] = values
		})
		if !slices.Equal(w.sent["Connection"], values) {
			t.Errorf("%q became %q", values, w.sent["Connection"])
		}
	}
}

func TestEveryLaterResponseOfAMarkedConnectionAnnounces(t *testing.T) {
	c := newController(t, OnRoutes("/login"))
	conn := openConnection(c)
	exchange(c, requestOn(conn, "/login"), nothing)
	for range 2 {
		if w := exchange(c, requestOn(conn, "/other"), nothing); !w.announces() {
			t.Fatalf("sent %v", w.sent)
		}
	}
	if n := c.Stats().Closes[ReasonRoute]; n != 1 {
		t.Errorf("%d closes counted for one connection", n)
	}
}

func TestCloseAfterTheHeaderHasLeftMakesTheNextResponseAnnounce(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)
	w := exchange(c, requestOn(conn, "/"), func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		if CloseAfter(r.Context(), ReasonHandler) {
			t.Error("CloseAfter says that this response announces")
		}
	})
	if w.announces() || conn.SetState(http.StateIdle) {
		t.Fatal("the response that had left announces, or its connection is closed without a word")
	}
	if w := exchange(c, requestOn(conn, "/"), nothing); !w.announces() || !conn.SetState(http.StateIdle) {
		t.Error("the next response does not announce")
	}
}

func TestAnExchangeGivenUpByAHandlerAboveMakesTheNextResponseAnnounce(t *testing.T) {
	c := newController(t)
	conn := openConnection(c)

	// As below http.TimeoutHandler: the context is done, the 503 has left
	// without our header, the handler still runs.
	abandoned := newFakeWriter()
	r := requestOn(conn, "/slow")
	ctx, cancel := context.WithCancel(r.Context())
	r, e := c.Begin(r.WithContext(ctx))
	w := e.Writer(abandoned)
	CloseAfter(r.Context(), ReasonHandler)
	w.WriteHeader(200) // goes nowhere
	cancel()
	if conn.SetState(http.StateIdle) {
		t.Fatal("a connection is closed whose client was not told")
	}
	if next := exchange(c, requestOn(conn, "/"), nothing); !next.announces() || !conn.SetState(http.StateIdle) {
		t.Error("the next response does not announce")
	}
	e.End()
	if n := c.Stats().InFlight; n != 0 {
		t.Errorf("%d in flight", n)
	}
}

func TestA101AndAHijackAreNeverAnnounced(t *testing.T) {
	c := newController(t)
	c.Drain()
	conn := openConnection(c)
	if w := exchange(c, requestOn(conn, "/"), respond(101)); w.sent["Connection"] != nil {
		t.Errorf("a 101 carries %v", w.sent)
	}
	exchange(c, requestOn(conn, "/"), func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Hijacker).Hijack()
	})
	if _, marked := conn.Mark(); marked {
		t.Error("the connection is marked")
	}
}

func TestTheClientsOwnCloseAsksNoRule(t *testing.T) {
	asked := false
	c := newController(t, OnMatch(ReasonClient, func(*http.Request) bool { asked = true; return true }))
	c.Drain()
	r := requestOn(openConnection(c), "/")
	r.Close = true
	w := exchange(c, r, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "keep-alive") })
	s := c.Stats()
	if asked || s.Closes[ReasonClient]+s.Closes[ReasonDrain] != 0 || s.ClientInitiated != 1 {
		t.Errorf("asked %v, stats %+v", asked, s)
	}
	if !w.announces() {
		t.Errorf("a handler's keep-alive contradicts the client's close: %v", w.sent)
	}
}

func TestOnHTTP3NoHeaderIsSetAndTheDecisionIsCounted(t *testing.T) {
	c := newController(t)
	c.Drain()
	r := requestOn(nil, "/")
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	w := exchange(c, r, nothing)
	if w.sent["Connection"] != nil || c.Stats().Closes[ReasonDrain] != 1 {
		t.Errorf("sent %v, %v", w.sent, c.Stats().Closes)
	}
}

func TestWhatIsWrittenBehindAHijackAnnouncesNothing(t *testing.T) {
	for name, hijack := range map[string]func(*Connection, *Exchange){
		"that the server has reported": func(conn *Connection, _ *Exchange) { conn.SetState(http.StateHijacked) },
		"that a framework's writer has": func(_ *Connection, e *Exchange) {
			e.Commit(make(http.Header), http.StatusSwitchingProtocols)
		},
	} {
		c := newController(t, OnRoutes("/"))
		conn := openConnection(c)
		_, e := c.Begin(requestOn(conn, "/"))
		hijack(conn, e)
		if s := c.Stats(); s.InFlight != 0 {
			t.Errorf("%s: %d exchanges are in flight", name, s.InFlight)
		}
		h := make(http.Header)
		e.Commit(h, http.StatusOK)
		e.End()
		if s := c.Stats(); len(h) != 0 || s.Closes[ReasonRoute] != 0 || s.InFlight != 0 {
			t.Errorf("%s: the header is %v; %+v", name, h, s)
		}
	}
}
