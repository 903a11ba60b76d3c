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
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// echoing takes connections over and sends back each line until the client
// leaves. What it took over is passed on.
type echoing struct{ taken chan net.Conn }

func (e echoing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/take" {
		servertest.Hello(w, r)
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
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		handler := echoing{make(chan net.Conn, 1)}
		ctl := servertest.NewController(t)
		s := serve(t, ctl, handler, append([]stdlib.ServeOption{
			stdlib.IdleGrace(far), stdlib.DrainTimeout(2 * far),
		}, over.Opts...)...)
		before, during := over.Dial(t, s.Address), over.Dial(t, s.Address)
		get(t, before, "/")
		take(t, before)
		clienttest.Receive(t, "the hijack", handler.taken)
		s.ExpectStats("one is hijacked and not in flight", func(s core.Stats) bool {
			return s.Hijacked == 1 && s.Active == 0 && s.InFlight == 0
		})
		get(t, during, "/")
		s.Drain()
		s.ListenerIsClosed()
		take(t, during)
		clienttest.Receive(t, "the hijack", handler.taken)
		s.ExpectStats("both are hijacked", func(s core.Stats) bool { return s.Hijacked == 2 && s.Open == 0 })
		for _, c := range []*clienttest.Conn{before, during} {
			echo(t, c)
			select {
			case <-s.Done:
				t.Error("Serve did not wait for a connection that was taken over")
			default:
			}
			c.Close()
		}
		report := s.MustEnd()
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
	ctl := servertest.NewController(t)
	s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		handed <- conn
	}), stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
	client := clienttest.Dial(t, s.Address)
	s.AreIdle(1)
	s.BeginDrain()
	client.Send(clienttest.Request("GET", "/"))
	conn := clienttest.Receive(t, "the hijack", handed)
	s.ExpectStats("it is in nobody's hands", func(s core.Stats) bool { return s.Hijacked == 1 && s.InFlight == 0 })
	conn.Close()
	if report := s.MustEnd(); report.Hijacked != 1 || report.Served != 0 {
		t.Errorf("the report is %+v", report)
	}
}

func TestAHijackedConnectionIsCutAtTheTimeout(t *testing.T) {
	t.Parallel()
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		handler := echoing{make(chan net.Conn, 1)}
		s := serve(t, servertest.NewController(t), handler, append([]stdlib.ServeOption{stdlib.DrainTimeout(100 * time.Millisecond)}, over.Opts...)...)
		client := over.Dial(t, s.Address)
		take(t, client)
		clienttest.Receive(t, "the hijack", handler.taken)
		s.Drain()
		report, err := s.Wait()
		if !errors.Is(err, stdlib.ErrDrainTimeout) || report.Hijacked != 1 || report.Forced != 1 {
			t.Errorf("Serve: %+v, %v", report, err)
		}
		client.ExpectEnd()
	})
}

// A proxy that intercepts serves what it has hijacked with an http.Server, which
// may be a tracked one. It is one connection all the time.
func TestAHijackedConnectionThatIsServedAgainIsOneConnection(t *testing.T) {
	for name, again := range map[string]func(first *http.Server, ctl *core.Controller) *http.Server{
		"by the same server": func(first *http.Server, _ *core.Controller) *http.Server { return first },
		"by another tracked one": func(_ *http.Server, ctl *core.Controller) *http.Server {
			other := servertest.NewHTTP(servertest.Hello)
			track(t, other, ctl)
			return other
		},
		"by another one with a Controller of its own": func(*http.Server, *core.Controller) *http.Server {
			other := servertest.NewHTTP(servertest.Hello)
			track(t, other, servertest.NewController(t))
			return other
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			var second *http.Server
			srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/take" {
					servertest.Hello(w, r)
					return
				}
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
				go second.Serve(&onlyListener{conn: conn})
			}))
			second = again(srv, ctl)
			defer second.Close()
			s := servertest.New(t, ctl, srv).Start()
			client := clienttest.Dial(t, s.Address)
			take(t, client)
			client.ExpectKept(get(t, client, "/"))
			client.ExpectKept(get(t, client, "/"))
			if stats := ctl.Stats(); stats.Hijacked != 1 || stats.Open != 0 || len(stats.Impaired) != 0 {
				t.Errorf("the statistics are %+v", stats)
			}
			client.Close()
			s.ExpectStats("it is gone", func(stats core.Stats) bool { return stats.Hijacked == 0 && stats.Open == 0 })
			s.Drain()
			s.MustEnd()
		})
	}
}

// onlyListener accepts one connection, and then says that there is no other one.
type onlyListener struct{ conn net.Conn }

func (l *onlyListener) Accept() (net.Conn, error) {
	conn := l.conn
	if l.conn = nil; conn == nil {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l *onlyListener) Close() error   { return nil }
func (l *onlyListener) Addr() net.Addr { return &net.TCPAddr{} }

// An announced connection's Close goes on reading, which whoever took it over
// does not expect.
func TestClosingAHijackedConnectionIsAPlainClose(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		handler := echoing{make(chan net.Conn, 1)}
		ctl := servertest.NewController(t)
		s := serve(t, ctl, handler, over.Opts...)
		client := over.Dial(t, s.Address)
		get(t, client, "/")
		ctl.Drain()
		take(t, client)
		conn := clienttest.Receive(t, "the hijack", handler.taken)
		if err := conn.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		// The client has closed nothing yet.
		s.ExpectStats("it is gone", func(s core.Stats) bool { return s.Hijacked == 0 && s.Open == 0 })
		if err := conn.Close(); err == nil && over.Name == servertest.Cleartext.Name {
			t.Error("a second Close says nothing")
		}
	})
}

func TestAHijackHasTheConnectionOfTheListener(t *testing.T) {
	handler := echoing{make(chan net.Conn, 1)}
	s := serve(t, servertest.NewController(t), handler)
	take(t, clienttest.Dial(t, s.Address))
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
		servertest.Hello(w, r)
	})
	backendApp.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		servertest.Hello(w, r)
	})
	taken := make(chan net.Conn, 1)
	backendApp.Handle("/take", echoing{taken})
	backend := &url.URL{Scheme: "http", Host: serveBare(t, servertest.Cleartext, backendApp)}

	start := func(t *testing.T) (*core.Controller, *clienttest.Conn, *servertest.Server) {
		proxy := &httputil.ReverseProxy{
			Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(backend) },
			ErrorLog: servertest.NewHTTP(nil).ErrorLog,
		}
		ctl := servertest.NewController(t)
		s := serve(t, ctl, proxy)
		client := clienttest.Dial(t, s.Address)
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
		s.ExpectStats("one is hijacked", func(s core.Stats) bool { return s.Hijacked == 1 })
		client.Close()
		s.ExpectStats("none is", func(s core.Stats) bool { return s.Hijacked == 0 && s.InFlight == 0 })
	})
	t.Run("its abort is not swallowed", func(t *testing.T) {
		_, client, s := start(t)
		client.Send(clienttest.Request("GET", "/cut"))
		r, err := client.TryReceive()
		if err == nil && r.Truncated == nil {
			t.Errorf("a response that the backend cut looks whole: %+v", r)
		}
		s.ExpectStats("nothing is left", func(s core.Stats) bool { return s.InFlight == 0 && s.Active == 0 })
	})
}
