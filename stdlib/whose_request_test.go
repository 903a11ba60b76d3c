package stdlib_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// What a rule needs of the request is read before a handler can change it.
func TestAHandlerThatChangesItsRequestHidesNothing(t *testing.T) {
	legacy := core.OnMatch(core.ReasonClient, func(r *http.Request) bool { return r.Header.Get("User-Agent") == "legacy" })
	for name, c := range map[string]struct {
		rule   core.Option
		change func(*http.Request)
	}{
		"the path":       {core.OnRoutes("/secret"), func(r *http.Request) { r.URL.Path = "/" }},
		"the URL":        {core.OnRoutes("/secret"), func(r *http.Request) { r.URL = &url.URL{Path: "/"} }},
		"the URL, to no": {core.OnRoutes("/secret"), func(r *http.Request) { r.URL = nil }},
		"the method":     {core.OnRoutes("GET /secret"), func(r *http.Request) { r.Method = "POST" }},
		"the host":       {core.OnRoutes("example.com/secret"), func(r *http.Request) { r.Host = "example.org" }},
		"a field":        {legacy, func(r *http.Request) { r.Header.Del("User-Agent") }},
		"all fields":     {legacy, func(r *http.Request) { r.Header = nil }},
		"the context": {core.OnRoutes("/secret"), func(r *http.Request) {
			*r = *r.WithContext(context.WithValue(r.Context(), userKey{}, 1))
		}},
		"the context, to another": {core.OnRoutes("/secret"), func(r *http.Request) {
			*r = *r.WithContext(context.Background())
		}},
	} {
		for kind, tracked := range map[string]bool{"tracked": true, "untracked": false} {
			t.Run(name+", "+kind, func(t *testing.T) {
				ctl := servertest.NewController(t, c.rule)
				handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					c.change(r)
					io.WriteString(w, "hello")
				})
				var address string
				if tracked {
					address = servertest.New(t, ctl, servertest.NewHTTP(handler)).Start().Address
				} else {
					l := servertest.Listen(t)
					servertest.Serve(t, servertest.NewHTTP(stdlib.Middleware(ctl)(handler)), l, servertest.Cleartext)
					address = l.Addr().String()
				}
				client := clienttest.Dial(t, address)
				client.Send("GET /secret HTTP/1.1\r\nHost: example.com\r\nUser-Agent: legacy\r\n\r\n")
				client.ExpectClosed(client.Receive())
				clienttest.Eventually(t, "nothing is in flight", func() bool { return ctl.Stats().InFlight == 0 })
				if stats := ctl.Stats(); stats.Exchanges != 1 {
					t.Errorf("the statistics are %+v", stats)
				}
			})
		}
	}
}

// A handler that was given up goes on with the request that rules have asked. What
// net/http does not read behind its back we do not either.
func TestARuleDoesNotReadWhatAGivenUpHandlerWrites(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/secret"), core.OnMatch(core.ReasonClient, func(r *http.Request) bool {
		return r.Header.Get("X-Legacy") != "" || r.URL.Path == "/legacy"
	}))
	release := make(chan struct{})
	var handlers sync.WaitGroup
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		begun := make(chan struct{})
		handlers.Go(func() {
			close(begun)
			for {
				select {
				case <-release:
					return
				default:
					r.Header.Set("X-Legacy", "yes")
					r.URL.Path = "/legacy"
					r.Host = "elsewhere"
				}
			}
		})
		<-begun
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	s := servertest.New(t, ctl, servertest.NewHTTP2(mux)).Start()
	client := clienttest.Dial(t, s.Address)
	client.ExpectKept(client.Get("/"))
	clienttest.DialUnencryptedHTTP2(t, s.Address).Get("/")
	close(release)
	handlers.Wait()
	if closes := ctl.Stats().Closes; closes[core.ReasonClient]+closes[core.ReasonRoute] > 0 {
		t.Errorf("closes: %v", closes)
	}
}

// router is a program's own router with the middleware inside, as a batch
// endpoint or a background job calls it.
func router(ctl *core.Controller, routes map[string]http.HandlerFunc) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range routes {
		mux.HandleFunc(pattern, handler)
	}
	return stdlib.Middleware(ctl)(mux)
}

func subRequest(ctx context.Context, method, target string) *http.Request {
	return httptest.NewRequest(method, target, nil).WithContext(ctx)
}

// A request that a program makes itself announces nothing, but its route says
// what really ran.
func TestTheRouteOfASubRequestCountsForTheExchangeThatItIsPartOf(t *testing.T) {
	type detached struct{ context.Context }
	for name, c := range map[string]struct {
		part   func(r *http.Request) *http.Request
		closes bool
	}{
		"to another route":             {func(r *http.Request) *http.Request { return subRequest(r.Context(), "GET", "/other") }, false},
		"to a sensitive one":           {func(r *http.Request) *http.Request { return subRequest(r.Context(), "POST", "/items/7") }, true},
		"to it by another method":      {func(r *http.Request) *http.Request { return subRequest(r.Context(), "GET", "/items/7") }, false},
		"with a context of its own":    {func(r *http.Request) *http.Request { return subRequest(detached{r.Context()}, "POST", "/items/7") }, true},
		"as a copy with other methods": {func(r *http.Request) *http.Request { return override(r, "POST", "/items/7") }, true},
		"with a deadline": {func(r *http.Request) *http.Request {
			ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
			t.Cleanup(cancel)
			return subRequest(ctx, "POST", "/items/7")
		}, true},
	} {
		for kind, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
			t.Run(name+", "+kind, func(t *testing.T) {
				ctl := servertest.NewController(t, core.OnRoutes("POST /items/{id}"))
				var inner http.Handler
				inner = router(ctl, map[string]http.HandlerFunc{
					"/items/{id}": servertest.Hello, "/other": servertest.Hello,
					"/batch": func(w http.ResponseWriter, r *http.Request) {
						var parts sync.WaitGroup
						for range 4 {
							parts.Go(func() { inner.ServeHTTP(httptest.NewRecorder(), c.part(r)) })
						}
						parts.Wait()
						io.WriteString(w, "hello")
					},
				})
				s := servertest.New(t, ctl, servertest.NewHTTP2(inner)).Start()
				if http2 {
					client := clienttest.DialUnencryptedHTTP2(t, s.Address)
					client.Get("/batch")
					if c.closes {
						client.ExpectGoAway()
					} else {
						client.ExpectOpen()
					}
				} else {
					client := clienttest.Dial(t, s.Address)
					if response := get(t, client, "/batch"); c.closes {
						client.ExpectClosed(response)
					} else {
						client.ExpectKept(response)
					}
				}
				if stats := ctl.Stats(); !http2 && stats.Exchanges != 1 || stats.Untracked != 0 {
					t.Errorf("the statistics are %+v", stats)
				}
			})
		}
	}
}

// A client that sends nothing more may close its own side and still read. The
// request's context is done then, and with it all that are made of it.
func TestTheRouteOfASubRequestCountsAlsoOnceTheClientHasClosedItsSide(t *testing.T) {
	for name, part := range map[string]func(ctx context.Context, r *http.Request) *http.Request{
		"a request of the program": func(ctx context.Context, _ *http.Request) *http.Request { return subRequest(ctx, "POST", "/items/7") },
		"the client's under a deadline": func(ctx context.Context, r *http.Request) *http.Request {
			return override(r.WithContext(ctx), "POST", "/items/7")
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes("POST /items/{id}"))
			inner := router(ctl, map[string]http.HandlerFunc{"/items/{id}": servertest.Hello})
			s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
				defer cancel()
				<-ctx.Done()
				inner.ServeHTTP(w, part(ctx, r))
			}))).Start()
			client := clienttest.Dial(t, s.Address)
			client.Send(clienttest.Request("GET", "/batch"))
			if err := client.Conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			client.ExpectClosed(client.Receive())
			clienttest.Eventually(t, "it is counted", func() bool { return ctl.Stats().Closes[core.ReasonRoute] == 1 })
		})
	}
}

func override(r *http.Request, method, path string) *http.Request {
	r = r.Clone(r.Context())
	r.Method, r.URL.Path = method, path
	return r
}

// What handlers in front of a router change about a request in place decides
// which route runs, whether the change is made above our middleware or below it.
func TestARouteThatRunsByAChangeInPlaceIsAnnounced(t *testing.T) {
	change := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if to := r.Header.Get("X-Method"); to != "" {
				r.Method = to
			}
			if to := r.Header.Get("X-Host"); to != "" {
				r.Host = to
			}
			next.ServeHTTP(w, r)
		})
	}
	for name, stack := range map[string]func(ctl *core.Controller, router http.Handler) http.Handler{
		"alone": func(_ *core.Controller, router http.Handler) http.Handler { return change(router) },
		"below": func(ctl *core.Controller, router http.Handler) http.Handler {
			return stdlib.Middleware(ctl)(change(router))
		},
		"above": func(ctl *core.Controller, router http.Handler) http.Handler {
			return change(stdlib.Middleware(ctl)(router))
		},
	} {
		for _, request := range []struct{ method, field, value string }{
			{"POST", "X-Method", "DELETE"},
			{"DELETE", "X-Method", ""},
			{"DELETE", "X-Host", "example.com"},
			{"POST", "X-Host", "admin.example.com"},
		} {
			for kind, tracked := range map[string]bool{"tracked": true, "untracked": false} {
				if name == "alone" && !tracked {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, %v", name, kind, request), func(t *testing.T) {
					ctl := servertest.NewController(t, core.OnRoutes("DELETE /items/{id}", "admin.example.com/items/{id}"))
					mux := http.NewServeMux()
					for _, pattern := range []string{"/items/{id}", "DELETE /items/{id}", "admin.example.com/items/{id}"} {
						mux.HandleFunc(pattern, servertest.Hello)
					}
					srv := servertest.NewHTTP2(stack(ctl, mux))
					address := ""
					if tracked {
						address = servertest.ServeTracked(t, srv, ctl, servertest.Cleartext)
					} else {
						l := servertest.Listen(t)
						servertest.Serve(t, srv, l, servertest.Cleartext)
						address = l.Addr().String()
					}
					client := clienttest.Dial(t, address)
					client.ExpectKept(get(t, client, "/items/7"))
					client.Send(clienttest.Request(request.method, "/items/7", request.field+": "+request.value))
					client.ExpectClosed(client.Receive())
					transport := &http.Transport{Protocols: new(http.Protocols)}
					transport.Protocols.SetUnencryptedHTTP2(true)
					defer transport.CloseIdleConnections()
					r, _ := http.NewRequest(request.method, "http://"+address+"/items/7", nil)
					r.Header.Set(request.field, request.value)
					response, err := transport.RoundTrip(r)
					if err != nil {
						t.Fatal(err)
					}
					response.Body.Close()
					clienttest.Eventually(t, "both are announced", func() bool { return ctl.Stats().Closes[core.ReasonRoute] == 2 })
				})
			}
		}
	}
}

// A handler that hands a request on to a backend gives it the backend's host. The
// path that the client asked for is another one than the route's.
func TestARouteIsTheOneThatRanWhateverItsHandlerMakesOfTheRequest(t *testing.T) {
	for _, pattern := range []string{"POST /orders", "h.com/orders", "POST h.com/orders", "/orders"} {
		ctl := servertest.NewController(t, core.OnRoutes(pattern))
		mux := http.NewServeMux()
		change := func(w http.ResponseWriter, r *http.Request) {
			r.Method, r.Host = "GET", "backend"
			servertest.Hello(w, r)
		}
		mux.HandleFunc(pattern, change)
		mux.HandleFunc("/items", change)
		s := servertest.New(t, ctl, servertest.NewHTTP2(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = strings.TrimPrefix(r.URL.Path, "/v1")
			mux.ServeHTTP(w, r)
		}))).Start()
		client := clienttest.Dial(t, s.Address)
		for _, path := range []string{"/v1/items", "/v1/orders"} {
			fmt.Fprintf(client, "POST %s HTTP/1.1\r\nHost: h.com\r\nContent-Length: 0\r\n\r\n", path)
			got := client.Receive()
			if path == "/v1/items" {
				client.ExpectKept(got)
			} else {
				client.ExpectClosed(got)
			}
		}
	}
}

func TestARouteThatRanAfterTheHeaderHadLeftIsAnnouncedByTheNextResponse(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/secret"))
	var inner http.Handler
	inner = router(ctl, map[string]http.HandlerFunc{
		"/secret": servertest.Hello, "/other": servertest.Hello,
		"/stream": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			inner.ServeHTTP(httptest.NewRecorder(), subRequest(r.Context(), "GET", "/secret"))
		},
	})
	s := servertest.New(t, ctl, servertest.NewHTTP(inner)).Start()
	client := clienttest.Dial(t, s.Address)
	client.ExpectKept(get(t, client, "/stream"))
	client.ExpectClosed(get(t, client, "/other"))
}

// Background work keeps the context of a request that is over.
func TestBackgroundWorkCountsForNobody(t *testing.T) {
	for name, keep := range map[string]func(context.Context) context.Context{
		"as it is":     func(ctx context.Context) context.Context { return ctx },
		"never done":   context.WithoutCancel,
		"with a value": func(ctx context.Context) context.Context { return context.WithValue(ctx, userKey{}, 1) },
		"values, alone": func(ctx context.Context) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), userKey{}, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t, core.OnRoutes("/secret"))
			kept := make(chan context.Context, 1)
			begun, done := make(chan struct{}), make(chan struct{})
			inner := router(ctl, map[string]http.HandlerFunc{
				"/secret": servertest.Hello,
				"/start":  func(w http.ResponseWriter, r *http.Request) { kept <- keep(r.Context()); servertest.Hello(w, r) },
				"/slow":   func(w http.ResponseWriter, r *http.Request) { close(begun); <-done; servertest.Hello(w, r) },
			})
			s := servertest.New(t, ctl, servertest.NewHTTP(inner)).Start()
			client := clienttest.Dial(t, s.Address)
			client.ExpectKept(get(t, client, "/start"))
			client.Send(clienttest.Request("GET", "/slow"))
			<-begun
			inner.ServeHTTP(httptest.NewRecorder(), subRequest(<-kept, "GET", "/secret"))
			if n := ctl.Stats().InFlight; n != 1 {
				t.Errorf("%d exchanges are in flight", n)
			}
			close(done)
			client.ExpectKept(client.Receive())
			s.BeginDrain()
			client.ExpectClosed(get(t, client, "/start"))
			client.Close()
			s.MustEnd()
			if stats := ctl.Stats(); stats.Exchanges != 3 || stats.InFlight != 0 {
				t.Errorf("the statistics are %+v", stats)
			}
		})
	}
}

func TestAContextReplacedBetweenTwoMiddlewareChangesNoCount(t *testing.T) {
	for how, replaced := range map[string]func(*http.Request) *http.Request{
		"of a copy": func(r *http.Request) *http.Request { return r.WithContext(context.Background()) },
		"in place": func(r *http.Request) *http.Request {
			*r = *r.WithContext(context.Background())
			return r
		},
	} {
		for kind, tracked := range map[string]bool{"tracked": true, "untracked": false} {
			t.Run(kind+", "+how, func(t *testing.T) {
				ctl := servertest.NewController(t)
				inner := stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !core.CloseAfter(r.Context(), core.ReasonHandler) {
						t.Error("CloseAfter says that the connection stays")
					}
					io.WriteString(w, "hello")
				}))
				outer := stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					inner.ServeHTTP(w, replaced(r))
				}))
				var address string
				if tracked {
					address = servertest.New(t, ctl, servertest.NewHTTP(outer)).Start().Address
				} else {
					l := servertest.Listen(t)
					servertest.Serve(t, servertest.NewHTTP(outer), l, servertest.Cleartext)
					address = l.Addr().String()
				}
				client := clienttest.Dial(t, address)
				client.ExpectClosed(get(t, client, "/"))
				clienttest.Eventually(t, "nothing is in flight", func() bool { return ctl.Stats().InFlight == 0 })
				if stats := ctl.Stats(); stats.Exchanges != 1 || stats.Closes[core.ReasonHandler] != 1 {
					t.Errorf("the statistics are %+v", stats)
				}
			})
		}
	}
}

// net/http removes the files of a form that was parsed in its own request. Ours
// may be a copy.
func TestTheFilesOfAFormAreRemovedThoughTheRequestIsACopy(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	files := func() int {
		found, _ := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*"))
		return len(found)
	}
	parse := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1); err != nil || files() == 0 {
			t.Errorf("there are %d files, %v", files(), err)
		}
		servertest.Hello(w, r)
	}
	for name, tracked := range map[string]bool{"without a record": false, "as a part that its writer proves": true} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			parser := stdlib.Middleware(ctl)(http.HandlerFunc(parse))
			address := ""
			if tracked {
				address = servertest.ServeTracked(t, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					*r = *r.WithContext(context.Background())
					parser.ServeHTTP(w, r)
				})), ctl, servertest.Cleartext)
			} else {
				l := servertest.Listen(t)
				servertest.Serve(t, servertest.NewHTTP(parser), l, servertest.Cleartext)
				address = l.Addr().String()
			}
			body := "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n" + strings.Repeat("x", 1<<20) + "\r\n--x--\r\n"
			client := clienttest.Dial(t, address)
			client.Send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			client.Receive()
			clienttest.Eventually(t, "the files are removed", func() bool { return files() == 0 })
		})
	}
}

// The same below a writer that is not one of net/http's, as a compressing one.
func TestAContextReplacedBelowAnOddWriterChangesNoCount(t *testing.T) {
	ctl := servertest.NewController(t, core.OnStatus(http.StatusOK))
	inner := stdlib.Middleware(ctl)(servertest.Hello)
	outer := stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r.WithContext(context.Background()))
	}))
	l := servertest.Listen(t)
	servertest.Serve(t, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outer.ServeHTTP(&plainWriter{w}, r)
	})), l, servertest.Cleartext)
	client := clienttest.Dial(t, l.Addr().String())
	client.ExpectClosed(get(t, client, "/"))
	clienttest.Eventually(t, "nothing is in flight", func() bool { return ctl.Stats().InFlight == 0 })
	if stats := ctl.Stats(); stats.Exchanges != 1 || stats.Closes[core.ReasonStatus] != 1 {
		t.Errorf("the statistics are %+v", stats)
	}
}

// A program may put a context of its own in the place of the server's, with its
// own values and its own end. Whose part a request is says nothing about them.
func TestAContextThatAProgramPutsInPlaceIsTheOneThatItsHandlersGet(t *testing.T) {
	for kind, tracked := range map[string]bool{"tracked": true, "untracked": false} {
		t.Run(kind, func(t *testing.T) {
			ctl := servertest.NewController(t)
			inner := stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if value := r.Context().Value(userKey{}); value != "of the program" {
					t.Errorf("the value is %v", value)
				}
				if r.Context().Err() == nil {
					t.Error("the context is not done")
				}
				core.CloseAfter(r.Context(), core.ReasonHandler)
				servertest.Hello(w, r)
			}))
			outer := stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithCancel(context.WithValue(context.Background(), userKey{}, "of the program"))
				cancel()
				inner.ServeHTTP(w, r.WithContext(ctx))
			}))
			srv := servertest.NewHTTP2(outer)
			var address string
			if tracked {
				address = servertest.New(t, ctl, srv).Start().Address
			} else {
				l := servertest.Listen(t)
				servertest.Serve(t, srv, l, servertest.Cleartext)
				address = l.Addr().String()
			}
			client := clienttest.Dial(t, address)
			client.ExpectClosed(get(t, client, "/"))
			clienttest.DialUnencryptedHTTP2(t, address).Get("/")
			clienttest.Eventually(t, "nothing is in flight", func() bool { return ctl.Stats().InFlight == 0 })
			if stats := ctl.Stats(); stats.Exchanges != 2 || stats.Closes[core.ReasonHandler] != 2 {
				t.Errorf("the statistics are %+v", stats)
			}
		})
	}
}

// The values of a router's context are as the router put them, and so is what
// the innermost route says.
func TestASensitiveRouteIsKnownBelowAContextThatWasReplaced(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/items/{id}"))
	inner := router(ctl, map[string]http.HandlerFunc{"/items/{id}": servertest.Hello})
	s := servertest.New(t, ctl, servertest.NewHTTP2(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, override(r.WithContext(context.Background()), "GET", "/items/7"))
	}))).Start()
	client := clienttest.Dial(t, s.Address)
	client.ExpectClosed(get(t, client, "/alias"))
	clienttest.DialUnencryptedHTTP2(t, s.Address).Get("/alias")
	s.ExpectStats("both are announced", func(stats core.Stats) bool { return stats.Closes[core.ReasonRoute] == 2 })
}

// The handler of one tracked server may be mounted below another one's.
func TestATrackedServersHandlerBelowAContextThatWasReplacedChangesNoCount(t *testing.T) {
	ctl := servertest.NewController(t)
	mounted := servertest.NewHTTP(servertest.Hello)
	track(t, mounted, ctl)
	s := servertest.New(t, ctl, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mounted.Handler.ServeHTTP(w, r.WithContext(context.Background()))
	}))).Start()
	client := clienttest.Dial(t, s.Address)
	client.ExpectKept(get(t, client, "/"))
	ctl.Drain()
	client.ExpectClosed(get(t, client, "/"))
	s.ExpectStats("each request is one exchange", func(stats core.Stats) bool {
		return stats.Exchanges == 2 && stats.InFlight == 0 && stats.Untracked == 0 && stats.Closes[core.ReasonDrain] == 1
	})
}

func TestAContextThatIsPrintedShowsNothingOfTheRequest(t *testing.T) {
	for name, tracked := range map[string]bool{"over HTTP/2": true, "untracked": false} {
		printed := make(chan string, 1)
		printing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			go func() { printed <- fmt.Sprintf("%v", ctx) }()
			w.Header().Set("X", "written meanwhile")
			r.Header.Set("X", "the same")
			servertest.Hello(w, r)
		})
		ctl := servertest.NewController(t)
		if tracked {
			s := servertest.New(t, ctl, servertest.NewHTTP2(printing)).Start()
			clienttest.DialUnencryptedHTTP2(t, s.Address).Get("/secret")
		} else {
			r := httptest.NewRequest("GET", "/secret", nil)
			stdlib.Middleware(ctl)(printing).ServeHTTP(httptest.NewRecorder(), r)
		}
		if got := clienttest.Receive(t, "the context", printed); strings.Contains(got, "secret") || !strings.Contains(got, "politeclose") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAnAccessLogLearnsWhetherAndWhyTheResponseAnnounces(t *testing.T) {
	type line struct {
		reason     core.Reason
		announced  bool
		connection uint64
	}
	logged := make(chan line, 1)
	ctl := servertest.NewController(t, core.OnRoutes("/login"), core.OnStatus(http.StatusTeapot))
	mux := http.NewServeMux()
	mux.HandleFunc("/login", servertest.Hello)
	mux.HandleFunc("/", servertest.Hello)
	mux.HandleFunc("/silent", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	accessLog := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			reason, announced := core.Announced(r.Context())
			logged <- line{reason, announced, core.ConnectionID(r.Context())}
		})
	}
	s := servertest.New(t, ctl, servertest.NewHTTP2(accessLog(mux))).Start()
	first := clienttest.Dial(t, s.Address)
	for path, want := range map[string]core.Reason{"/": "", "/silent": ""} {
		first.Get(path)
		if got := <-logged; got != (line{want, want != "", 1}) {
			t.Errorf("%s: logged is %+v", path, got)
		}
	}
	id := uint64(1)
	for path, want := range map[string]core.Reason{"/login": core.ReasonRoute, "/teapot": core.ReasonStatus} {
		id++
		client := clienttest.Dial(t, s.Address)
		client.ExpectClosed(client.Get(path))
		if got := <-logged; got != (line{want, true, id}) {
			t.Errorf("%s: logged is %+v", path, got)
		}
	}
	client := clienttest.DialUnencryptedHTTP2(t, s.Address)
	client.Get("/login")
	if got := <-logged; got != (line{core.ReasonRoute, true, id + 1}) {
		t.Errorf("HTTP/2: logged is %+v", got)
	}
	ctl.Drain()
	first.ExpectClosed(first.Get("/silent"))
	if got := <-logged; got != (line{core.ReasonDrain, true, 1}) {
		t.Errorf("in a drain, of a handler that wrote nothing: logged is %+v", got)
	}
	if _, announced := core.Announced(context.Background()); announced || core.ConnectionID(context.Background()) != 0 {
		t.Error("a context without a Controller answers")
	}
}

// A timeout middleware has given the handler up, which goes on with the request.
func TestAGivenUpHandlerMaySetThePatternOfARequestWhoseRouteWasReported(t *testing.T) {
	ctl := servertest.NewController(t, core.OnRoutes("/login"))
	mux := http.NewServeMux()
	mux.HandleFunc("/{rest...}", func(http.ResponseWriter, *http.Request) {})
	over := make(chan struct{}, 30)
	srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ctl.Report(w, r, "/other", false) {
			t.Error("not reported")
		}
		begun := make(chan struct{})
		go func() {
			close(begun)
			mux.ServeHTTP(httptest.NewRecorder(), r)
			over <- struct{}{}
		}()
		<-begun
		servertest.Hello(w, r)
	}))
	client := clienttest.Dial(t, servertest.ServeTracked(t, srv, ctl, servertest.Cleartext))
	for range cap(over) {
		get(t, client, "/other")
		clienttest.Receive(t, "the handler that was given up", over)
	}
}
