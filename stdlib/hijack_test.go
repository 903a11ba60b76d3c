package stdlib_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// echoing takes connections over and sends back each line until the client
// leaves. What it took over is passed on.
type echoing struct{ taken chan net.Conn }

func (e echoing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/take" {
		hello(w, r)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
	e.taken <- conn
	for {
		line, err := buffered.ReadString('\n')
		if err != nil {
			return
		}
		io.WriteString(conn, line)
	}
}

func take(t *testing.T, c *clienttest.Conn) {
	t.Helper()
	r := c.Get("/take", "Connection: Upgrade", "Upgrade: echo")
	if r.Status != http.StatusSwitchingProtocols || !slices.Equal(r.Connection, []string{"Upgrade"}) {
		t.Errorf("the upgrade was answered with %d and Connection %q", r.Status, r.Connection)
	}
}

func echo(t *testing.T, c *clienttest.Conn) {
	t.Helper()
	c.Send("ping\n")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "ping\n" {
		t.Errorf("the connection that was taken over says %q, %v", got, err)
	}
}

func TestAHijackedConnectionIsCountedAndWaitedFor(t *testing.T) {
	overEach(t, func(t *testing.T, over transport) {
		handler := echoing{make(chan net.Conn, 1)}
		ctl := newController(t)
		s := serve(t, ctl, handler, append([]stdlib.ServeOption{
			stdlib.IdleGrace(far), stdlib.DrainTimeout(2 * far),
		}, over.opts...)...)
		before, during := over.dial(t, s.address), over.dial(t, s.address)
		get(t, before, "/")
		take(t, before)
		clienttest.Receive(t, "the hijack", handler.taken)
		s.expectStats("one is hijacked and not in flight", func(s core.Stats) bool {
			return s.Hijacked == 1 && s.Active == 0 && s.InFlight == 0
		})
		get(t, during, "/")
		s.drain()
		s.listenerIsClosed()
		take(t, during)
		clienttest.Receive(t, "the hijack", handler.taken)
		s.expectStats("both are hijacked", func(s core.Stats) bool { return s.Hijacked == 2 && s.Open == 0 })
		for _, c := range []*clienttest.Conn{before, during} {
			echo(t, c)
			select {
			case <-s.done:
				t.Error("Serve did not wait for a connection that was taken over")
			default:
			}
			c.Close()
		}
		report := s.mustEnd()
		if report.Hijacked != 2 || report.Served != 0 || report.Announced != 0 || report.Forced != 0 || report.ClosedIdle != 0 {
			t.Errorf("the report is %+v", report)
		}
		if stats := ctl.Stats(); stats.Hijacked != 0 || stats.Open != 0 {
			t.Errorf("the statistics are %+v", stats)
		}
	})
}

func TestAHandlerThatLeavesItsHijackedConnectionToOthersHasServedNothing(t *testing.T) {
	handed := make(chan net.Conn, 1)
	ctl := newController(t)
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		handed <- conn
	}), stdlib.LameDuck(100*time.Millisecond), stdlib.DrainTimeout(far))
	s.beginDrain()
	clienttest.Dial(t, s.address).Send(clienttest.Request("GET", "/"))
	conn := clienttest.Receive(t, "the hijack", handed)
	s.expectStats("it is in nobody's hands", func(s core.Stats) bool { return s.Hijacked == 1 && s.InFlight == 0 })
	s.listenerIsClosed()
	conn.Close()
	if report := s.mustEnd(); report.Hijacked != 1 || report.Served != 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestAHijackedConnectionIsCutAtTheTimeout(t *testing.T) {
	overEach(t, func(t *testing.T, over transport) {
		handler := echoing{make(chan net.Conn, 1)}
		s := serve(t, newController(t), handler, append([]stdlib.ServeOption{stdlib.DrainTimeout(100 * time.Millisecond)}, over.opts...)...)
		client := over.dial(t, s.address)
		take(t, client)
		clienttest.Receive(t, "the hijack", handler.taken)
		s.drain()
		report, err := s.wait()
		if !errors.Is(err, stdlib.ErrDrainTimeout) || report.Hijacked != 1 || report.Forced != 1 {
			t.Errorf("Serve: %+v, %v", report, err)
		}
		client.ExpectEnd()
	})
}

// An announced connection's Close goes on reading, which whoever took it over
// does not expect.
func TestClosingAHijackedConnectionIsAPlainClose(t *testing.T) {
	overEach(t, func(t *testing.T, over transport) {
		handler := echoing{make(chan net.Conn, 1)}
		ctl := newController(t)
		s := serve(t, ctl, handler, over.opts...)
		client := over.dial(t, s.address)
		get(t, client, "/")
		ctl.Drain()
		take(t, client)
		conn := clienttest.Receive(t, "the hijack", handler.taken)
		if err := conn.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		// The client has closed nothing yet.
		s.expectStats("it is gone", func(s core.Stats) bool { return s.Hijacked == 0 && s.Open == 0 })
		if err := conn.Close(); err == nil && over.name == cleartext.name {
			t.Error("a second Close says nothing")
		}
	})
}

func TestAHijackHasTheConnectionOfTheListener(t *testing.T) {
	handler := echoing{make(chan net.Conn, 1)}
	s := serve(t, newController(t), handler)
	take(t, clienttest.Dial(t, s.address))
	conn := clienttest.Receive(t, "the hijack", handler.taken)
	if _, ok := conn.(interface{ CloseWrite() error }); !ok {
		t.Errorf("%T has no CloseWrite", conn)
	}
	if _, ok := conn.(io.ReaderFrom); !ok {
		t.Errorf("%T has no ReadFrom", conn)
	}
}

// httputil.ReverseProxy clears the header map on a 1xx (go.dev/issue/81207) and
// passes what is in it into its own 101.
func TestThroughAReverseProxy(t *testing.T) {
	backendApp := http.NewServeMux()
	backendApp.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		hello(w, r)
	})
	backendApp.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		hello(w, r)
	})
	taken := make(chan net.Conn, 1)
	backendApp.Handle("/take", echoing{taken})
	backend := &url.URL{Scheme: "http", Host: serveBare(t, cleartext, backendApp)}

	start := func(t *testing.T) (*core.Controller, *clienttest.Conn, *running) {
		proxy := &httputil.ReverseProxy{
			Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(backend) },
			ErrorLog: newServer(nil).ErrorLog,
		}
		ctl := newController(t)
		s := serve(t, ctl, proxy)
		client := clienttest.Dial(t, s.address)
		client.ExpectKept(get(t, client, "/"))
		ctl.Drain()
		return ctl, client, s
	}
	t.Run("the final response behind an early one announces", func(t *testing.T) {
		_, client, _ := start(t)
		r := get(t, client, "/")
		if len(r.Informational) != 1 || r.Informational[0]["Connection"] != nil {
			t.Errorf("the informational responses are %v", r.Informational)
		}
		client.ExpectClosed(r)
	})
	t.Run("its 101 has one Connection field", func(t *testing.T) {
		_, client, s := start(t)
		take(t, client)
		clienttest.Receive(t, "the hijack", taken)
		echo(t, client)
		s.expectStats("one is hijacked", func(s core.Stats) bool { return s.Hijacked == 1 })
		client.Close()
		s.expectStats("none is", func(s core.Stats) bool { return s.Hijacked == 0 && s.InFlight == 0 })
	})
	t.Run("its abort is not swallowed", func(t *testing.T) {
		_, client, s := start(t)
		client.Send(clienttest.Request("GET", "/cut"))
		r, err := client.TryReceive()
		if err == nil && r.Truncated == nil {
			t.Errorf("a response that the backend cut looks whole: %+v", r)
		}
		s.expectStats("nothing is left", func(s core.Stats) bool { return s.InFlight == 0 && s.Active == 0 })
	})
}
