package stdlib_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestServeAloneIsAWholeDrain(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		opts := append([]stdlib.ServeOption{stdlib.IdleGrace(far), stdlib.DrainTimeout(2 * far)}, over.Opts...)
		s := servertest.New(t, ctl, servertest.NewHTTP2(servertest.Hello)).Start(opts...)
		one, two := over.Dial(t, s.Address), over.DialHTTP2(t, s.Address)
		one.ExpectKept(one.Get("/"))
		two.Get("/")
		s.BeginDrain()
		one.ExpectClosed(one.Get("/"))
		one.Close()
		two.ExpectGoAway()
		two.ExpectEnd()
		two.Close()
		if report := s.MustEnd(); report.Announced != 2 || report.Forced != 0 || report.ClosedIdle != 0 {
			t.Errorf("the report is %+v", report)
		}
		if stats := ctl.Stats(); stats.Untracked != 0 || stats.Exchanges != 3 || stats.InFlight != 0 {
			t.Errorf("the statistics are %+v", stats)
		}
	})
}

var ofTheDefaultMux = sync.OnceFunc(func() { http.HandleFunc("/of-the-default-mux", servertest.Hello) })

// Whatever the program does with the fields of the server, requests pass the
// entry first.
func TestTheEntryIsThereHoweverTheServerIsMade(t *testing.T) {
	ofTheDefaultMux()
	for name, prepare := range map[string]func(*testing.T, *http.Server, *core.Controller){
		"a handler assigned after Track": func(t *testing.T, srv *http.Server, ctl *core.Controller) {
			track(t, srv, ctl)
			srv.Handler = servertest.Hello
		},
		"a handler put around it after Track": func(t *testing.T, srv *http.Server, ctl *core.Controller) {
			srv.Handler = servertest.Hello
			track(t, srv, ctl)
			inner := srv.Handler
			srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(&plainWriter{w}, r) })
		},
		"http.DefaultServeMux": func(t *testing.T, srv *http.Server, ctl *core.Controller) {
			track(t, srv, ctl)
		},
		"the user's own BaseContext": func(t *testing.T, srv *http.Server, ctl *core.Controller) {
			srv.BaseContext = servertest.NewHTTP(nil).BaseContext
			track(t, srv, ctl)
		},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2: %v", name, http2), func(t *testing.T) {
				ctl := servertest.NewController(t)
				s := httptest.NewUnstartedServer(nil)
				prepare(t, s.Config, ctl)
				s.EnableHTTP2 = http2
				s.StartTLS()
				defer s.Close()
				response, err := s.Client().Get(s.URL + "/of-the-default-mux")
				if err != nil {
					t.Fatal(err)
				}
				if body, _ := io.ReadAll(response.Body); string(body) != "hello" || response.Close {
					t.Errorf("the response is %q, close %v", body, response.Close)
				}
				ctl.Drain()
				if response, err = s.Client().Get(s.URL + "/of-the-default-mux"); err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, response.Body)
				clienttest.Eventually(t, "it is counted", func() bool { return ctl.Stats().Closes[core.ReasonDrain] == 1 })
				if stats := ctl.Stats(); response.Close == http2 || stats.Exchanges != 2 || stats.Untracked != 0 {
					t.Errorf("close %v; the statistics are %+v", response.Close, stats)
				}
			})
		}
	}
}

// The public and the admin server of a program may have the handler in common,
// and the second one may get it from the first, which is tracked.
func TestAServerMayHaveTheHandlerOfAnotherTrackedOne(t *testing.T) {
	for name, shared := range map[string]bool{"of one Controller": true, "each of its own": false} {
		t.Run(name, func(t *testing.T) {
			ofFirst, ofSecond := servertest.NewController(t), servertest.NewController(t)
			if shared {
				ofSecond = ofFirst
			}
			first := servertest.NewHTTP(servertest.Hello)
			first.IdleTimeout = time.Minute
			track(t, first, ofFirst)
			second := servertest.NewHTTP(first.Handler)
			second.IdleTimeout = time.Minute
			s := servertest.New(t, ofSecond, second).Start(stdlib.AdvertiseKeepAlive(time.Second))
			servertest.New(t, ofFirst, first).Start(stdlib.AdvertiseKeepAlive(time.Second))

			client := clienttest.Dial(t, s.Address)
			response := get(t, client, "/")
			client.ExpectKept(response)
			if advertised := response.Header["Keep-Alive"]; !slices.Equal(advertised, []string{"timeout=59"}) {
				t.Errorf("Keep-Alive is %q", advertised)
			}
			ofSecond.Drain()
			client.ExpectClosed(get(t, client, "/"))
			s.ExpectStats("each request is one exchange, and the last one announced", func(stats core.Stats) bool {
				return stats.Exchanges == 2 && stats.InFlight == 0 && stats.Untracked == 0 && stats.Closes[core.ReasonDrain] == 1
			})
		})
	}
}

// A second server is made of the first one's fields. The hooks in them must not take
// its connections, or its whole listener, for the first one's.
func TestAServerMayHaveTheHooksOfAnotherTrackedOne(t *testing.T) {
	for name, hooked := range map[string]bool{"with the program's own in them": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			type key struct{}
			var closed atomic.Int64
			first, second := servertest.NewHTTP(servertest.Hello), servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Context().Value(http.ServerContextKey) == r.Context().Value(key{}))
			}))
			if hooked {
				first.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
					return context.WithValue(ctx, key{}, ctx.Value(http.ServerContextKey))
				}
				first.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateClosed {
						closed.Add(1)
					}
				}
			}
			ofFirst, ofSecond := servertest.NewController(t), servertest.NewController(t)
			track(t, first, ofFirst)
			second.BaseContext, second.ConnContext, second.ConnState = first.BaseContext, first.ConnContext, first.ConnState
			staying, leaving := servertest.New(t, ofFirst, first).Start(), servertest.New(t, ofSecond, second).Start()

			stays, leaves := clienttest.Dial(t, staying.Address), clienttest.Dial(t, leaving.Address)
			get(t, stays, "/")
			leaves.ExpectKept(leaves.Get("/"))
			leaving.BeginDrain()
			response := leaves.Get("/")
			leaves.ExpectClosed(response)
			leaves.Close()
			if response.Body != fmt.Sprint(hooked) {
				t.Errorf("the second server answered %q", response.Body)
			}
			if report := leaving.MustEnd(); report.Announced != 1 || report.Served != 1 {
				t.Errorf("the report is %+v", report)
			}
			stays.ExpectKept(get(t, stays, "/"))
			if hooked && closed.Load() != 1 {
				t.Errorf("the program's hook saw %d connections close", closed.Load())
			}
		})
	}
}

func TestAHookThatCallsAnotherTrackedServersLeavesItItsConnections(t *testing.T) {
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		first, second := servertest.NewHTTP(servertest.Hello), servertest.NewHTTP(servertest.Hello)
		track(t, first, ctl)
		second.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return first.ConnContext(ctx, c) }
		second.ConnState = func(c net.Conn, state http.ConnState) { first.ConnState(c, state) }
		s := servertest.New(t, ctl, second).Start(over.Opts...)
		client := over.Dial(t, s.Address)
		client.ExpectKept(get(t, client, "/"))
		s.BeginDrain()
		client.ExpectClosed(get(t, client, "/"))
		client.Close()
		if report := s.MustEnd(); report.Announced != 1 {
			t.Errorf("the report is %+v", report)
		}
		if impaired := ctl.Stats().Impaired; len(impaired) > 0 {
			t.Errorf("impaired: %v", impaired)
		}
	})
}

func track(t *testing.T, srv *http.Server, ctl *core.Controller) {
	t.Helper()
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
}

type plainWriter struct{ http.ResponseWriter }

func TestOPTIONSForTheServerIsAnsweredAsNetHTTPDoes(t *testing.T) {
	never := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler saw it") })
	bare := servertest.Listen(t)
	servertest.Serve(t, servertest.NewHTTP(never), bare, servertest.Cleartext)
	s := servertest.New(t, servertest.NewController(t), servertest.NewHTTP(never)).Start()
	for name, request := range map[string]string{
		"without a body":      clienttest.Request("OPTIONS", "*"),
		"with one of 4 KB":    clienttest.Request("OPTIONS", "*", "Content-Length: 4096") + strings.Repeat("x", 4096),
		"with one beyond":     clienttest.Request("OPTIONS", "*", "Content-Length: 4097") + strings.Repeat("x", 4097),
		"over a dying client": clienttest.Request("OPTIONS", "*", "Connection: close"),
	} {
		t.Run(name, func(t *testing.T) {
			var answers [2]clienttest.Response
			for i, address := range []string{bare.Addr().String(), s.Address} {
				client := clienttest.Dial(t, address)
				client.Send(request)
				answers[i] = client.Receive()
				answers[i].Header.Del("Date")
				if answers[i].Connection != nil {
					client.ExpectGone()
				} else {
					client.ExpectOpen()
				}
			}
			if got, want := fmt.Sprint(answers[1]), fmt.Sprint(answers[0]); got != want {
				t.Errorf("the response is %s, and without us it is %s", got, want)
			}
		})
	}
	t.Run("by the handler where the server was configured so", func(t *testing.T) {
		srv := servertest.NewHTTP(servertest.Hello)
		srv.DisableGeneralOptionsHandler = true
		s := servertest.New(t, servertest.NewController(t), srv).Start()
		client := clienttest.Dial(t, s.Address)
		client.Send(clienttest.Request("OPTIONS", "*"))
		if r := client.Receive(); r.Body != "hello" {
			t.Errorf("the body is %q", r.Body)
		}
	})
}

func TestNothingBelowTheEntrySeesTheAnnouncement(t *testing.T) {
	for name, write := range map[string]func(http.ResponseWriter){
		"nothing":     func(http.ResponseWriter) {},
		"a status":    func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) },
		"a body":      func(w http.ResponseWriter) { io.WriteString(w, "hello") },
		"a flush":     func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"from a file": func(w http.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(strings.NewReader("hello")) },
	} {
		t.Run(name, func(t *testing.T) {
			kept := make(chan http.Header, 1)
			ctl := servertest.NewController(t)
			srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h["Connection"], h["X-Own"] = []string{"X-Hop"}, []string{"yes"}
				write(w)
				kept <- h // as a cache does
			}))
			srv.IdleTimeout = time.Minute
			s := servertest.New(t, ctl, srv).Start(stdlib.AdvertiseKeepAlive(time.Second))
			client := clienttest.Dial(t, s.Address)
			for _, draining := range []bool{false, true} {
				if draining {
					ctl.Drain()
				}
				response := client.Get("/")
				if draining {
					client.ExpectClosed(response)
				} else if response.Header.Get("Keep-Alive") != "timeout=59" {
					t.Errorf("Keep-Alive is %q", response.Header["Keep-Alive"])
				}
				clienttest.Eventually(t, "the response has ended", func() bool { return ctl.Stats().InFlight == 0 })
				h := <-kept
				if fmt.Sprint(h["Connection"], h["X-Own"], h["Keep-Alive"]) != "[X-Hop] [yes] []" {
					t.Errorf("draining: %v; the handler's header map is %v", draining, h)
				}
			}
		})
	}
}

func TestWhatNetHTTPIgnoresIsLoggedWithItsRealCaller(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"WriteHeader twice, and a 1xx behind it": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusEarlyHints)
		},
		"WriteHeader and Write behind a hijack": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			w.WriteHeader(http.StatusTeapot)
			if _, err := w.Write([]byte("hello")); err != http.ErrHijacked {
				t.Errorf("Write returned %v", err)
			}
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var lines [2]string
			for i := range lines {
				var logged bytes.Buffer
				srv := servertest.NewHTTP(handler)
				srv.ErrorLog = log.New(&logged, "", 0)
				var address string
				if i == 0 {
					l := servertest.Listen(t)
					servertest.Serve(t, srv, l, servertest.Cleartext)
					address = l.Addr().String()
				} else {
					address = servertest.New(t, servertest.NewController(t), srv).Start().Address
				}
				client := clienttest.Dial(t, address)
				if r := client.Get("/"); r.Status != http.StatusOK {
					t.Errorf("the status is %d", r.Status)
				}
				lines[i] = logged.String()
			}
			if lines[0] != lines[1] || strings.Count(lines[1], "entry_test.go") != 2 {
				t.Errorf("logged is\n%q, and without us it is\n%q", lines[1], lines[0])
			}
		})
	}
}

func TestAHandlerThatGoesOnAfterItsEndWritesToNobody(t *testing.T) {
	ended, went := make(chan struct{}), make(chan error, 1)
	ctl := servertest.NewController(t)
	s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
		go func() {
			<-ended
			w.WriteHeader(http.StatusTeapot)
			w.(http.Flusher).Flush()
			_, err := io.WriteString(w, "goodbye")
			went <- err
		}()
	}))).Start()
	client := clienttest.Dial(t, s.Address)
	client.ExpectKept(get(t, client, "/"))
	close(ended)
	if err := clienttest.Receive(t, "the handler's end", went); err != http.ErrHandlerTimeout {
		t.Errorf("a write after the end returned %v", err)
	}
	client.ExpectOpen()
}

func TestWhoRecoversFromAStatusThatThereIsNotStillAnswers(t *testing.T) {
	for _, status := range []int{0, 99, 1000, 10001} {
		ctl := servertest.NewController(t, core.OnStatus(http.StatusInternalServerError))
		s := servertest.New(t, ctl, servertest.NewHTTP2(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			defer func() {
				if recover() == nil {
					t.Errorf("%d did not panic", status)
				}
				http.Error(w, "recovered", http.StatusInternalServerError)
			}()
			w.WriteHeader(status)
		}))).Start()
		client := clienttest.Dial(t, s.Address)
		response := client.Get("/")
		if response.Status != http.StatusInternalServerError {
			t.Errorf("%d was answered with %d over HTTP/1", status, response.Status)
		}
		client.ExpectClosed(response)
		if got := clienttest.DialUnencryptedHTTP2(t, s.Address).Get("/").Status; got != http.StatusInternalServerError {
			t.Errorf("%d was answered with %d over HTTP/2", status, got)
		}
		s.ExpectStats("both are announced for their status", func(stats core.Stats) bool { return stats.Closes[core.ReasonStatus] == 2 })
	}
}

// copyThenAbort copies n bytes by the response's ReadFrom before the source fails.
func copyThenAbort(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		source := io.MultiReader(strings.NewReader(strings.Repeat("x", n)), iotest.ErrReader(io.ErrUnexpectedEOF))
		if _, err := io.Copy(w, struct{ io.Reader }{source}); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func TestACopyWhoseSourceFailsLaterHasAnnounced(t *testing.T) {
	ctl := servertest.NewController(t)
	s := servertest.New(t, ctl, servertest.NewHTTP(copyThenAbort(600))).Start()
	ctl.Drain()
	client := clienttest.Dial(t, s.Address)
	client.Send(clienttest.Request("GET", "/"))
	if rest, _ := client.Rest(); !strings.Contains(rest, "Connection: close") {
		t.Errorf("the client got %q", rest)
	}
	s.ExpectStats("it is counted", func(s core.Stats) bool { return s.Open == 0 && s.Closes[core.ReasonDrain] == 1 })
}

func TestACopyWhoseSourceHasNothingLeavesTheResponseToTheHandler(t *testing.T) {
	for name, source := range map[string]io.Reader{
		"it fails": iotest.ErrReader(io.ErrUnexpectedEOF),
		"it ends":  strings.NewReader(""),
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnStatus(http.StatusBadGateway), core.OnRoutes("/login"))
			s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(w, struct{ io.Reader }{source})
				if r.URL.Path == "/kept" {
					http.Error(w, "the upstream is gone", http.StatusTeapot)
				} else {
					http.Error(w, "the upstream is gone", http.StatusBadGateway)
				}
			}))).Start()
			client := clienttest.Dial(t, s.Address)
			kept := client.Get("/kept")
			closed := client.Get("/")
			announced := clienttest.Dial(t, s.Address).Get("/login")
			if kept.Status != http.StatusTeapot || closed.Status != http.StatusBadGateway || announced.Status != http.StatusBadGateway {
				t.Errorf("the statuses are %d, %d and %d", kept.Status, closed.Status, announced.Status)
			}
			client.ExpectClosed(closed)
			s.ExpectStats("the status and the route are counted", func(s core.Stats) bool {
				return s.Closes[core.ReasonStatus] == 1 && s.Closes[core.ReasonRoute] == 1
			})
		})
	}
}

func TestAnAnnouncingCopyOfTheRequestsBodyAsksForItFirst(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/"))
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	untracked := httptest.NewServer(stdlib.Middleware(ctl)(echo))
	defer untracked.Close()
	for name, address := range map[string]string{
		"at the entry":    servertest.New(t, ctl, servertest.NewHTTP(echo)).Start().Address,
		"in a middleware": untracked.Listener.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			client := clienttest.Dial(t, address)
			client.Send(clienttest.Request("POST", "/", "Content-Length: 5", "Expect: 100-continue"))
			response, err := client.TryReceiveTo(http.MethodPost, func(int) { client.Send("hello") })
			if err != nil || len(response.Informational) != 1 || response.Body != "hello" {
				t.Errorf("%v; the response is %+v", err, response)
			}
			client.ExpectClosed(response)
		})
	}
}

func TestACopyThatAnnouncesIsTheSameBytes(t *testing.T) {
	for _, size := range []int{0, 511, 512, 513, 5000} {
		ctl := servertest.NewController(t, core.OnRoutes("/login"))
		s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, struct{ io.Reader }{strings.NewReader(strings.Repeat("x", size))})
		}))).Start()
		client := clienttest.Dial(t, s.Address)
		kept := client.Get("/")
		closed := client.Get("/login")
		client.ExpectClosed(closed)
		for _, h := range []http.Header{kept.Header, closed.Header} {
			h.Del("Connection")
			h.Del("Date")
		}
		if kept.Body != closed.Body || len(kept.Body) != size || !maps.EqualFunc(kept.Header, closed.Header, slices.Equal) {
			t.Errorf("%d bytes: %v %d, and announced %v %d", size, kept.Header, len(kept.Body), closed.Header, len(closed.Body))
		}
	}
}

func TestACopyOfAShortBodyOverTLSSendsItsLength(t *testing.T) {
	const size = 1000 // more than net/http looks at, less than it holds back
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.Copy(w, struct{ io.Reader }{strings.NewReader(strings.Repeat("x", size))})
	})
	tracked := httptest.NewUnstartedServer(handler)
	if err := stdlib.Track(tracked.Config, ctl); err != nil {
		t.Fatal(err)
	}
	tracked.StartTLS()
	untracked := httptest.NewTLSServer(stdlib.Middleware(ctl)(handler))
	for name, s := range map[string]*httptest.Server{"at the entry": tracked, "in a middleware": untracked} {
		defer s.Close()
		for _, path := range []string{"/", "/login"} {
			response, err := s.Client().Get(s.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.ContentLength != size || response.Close != (path == "/login") {
				t.Errorf("%s, %s: the length is %d, close %v", name, path, response.ContentLength, response.Close)
			}
		}
	}
}

func TestAResponseThatIsAbortedBeforeAnythingLeftAnnouncesNothing(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"at once":                             func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"behind a header":                     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); panic(http.ErrAbortHandler) },
		"behind some bytes":                   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello"); panic(http.ErrAbortHandler) },
		"where a copy's source fails at once": copyThenAbort(0),
		"where a copy's source fails early":   copyThenAbort(511),
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			s := servertest.New(t, ctl, servertest.NewHTTP(handler)).Start(stdlib.LameDuck(time.Minute), stdlib.DrainTimeout(2*time.Minute))
			client := clienttest.Dial(t, s.Address)
			s.BeginDrain()
			client.Send(clienttest.Request("GET", "/"))
			client.ExpectGone()
			s.ExpectStats("it is over", func(s core.Stats) bool { return s.Open == 0 && s.InFlight == 0 })
			if n := ctl.Stats().Closes[core.ReasonDrain]; n != 0 {
				t.Errorf("%d closes were counted", n)
			}
			s.Force()
			if report, _ := s.Wait(); report.Announced != 0 || report.Served != 0 {
				t.Errorf("the report is %+v", report)
			}
		})
	}
}
