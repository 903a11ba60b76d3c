package stdlib_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// interfacesOf returns the names of the optional interfaces that w has.
func interfacesOf(w http.ResponseWriter) string {
	has := make(map[string]bool)
	_, has["Flusher"] = w.(http.Flusher)
	_, has["FlushError"] = w.(interface{ FlushError() error })
	_, has["Hijacker"] = w.(http.Hijacker)
	_, has["Pusher"] = w.(http.Pusher)
	_, has["ReaderFrom"] = w.(io.ReaderFrom)
	_, has["StringWriter"] = w.(io.StringWriter)
	_, has["CloseNotifier"] = w.(http.CloseNotifier) //nolint:staticcheck // old handlers look for it
	_, has["SetReadDeadline"] = w.(interface{ SetReadDeadline(time.Time) error })
	_, has["SetWriteDeadline"] = w.(interface{ SetWriteDeadline(time.Time) error })
	_, has["EnableFullDuplex"] = w.(interface{ EnableFullDuplex() error })
	maps.DeleteFunc(has, func(_ string, ok bool) bool { return !ok })
	return fmt.Sprint(slices.Sorted(maps.Keys(has)))
}

func tellInterfaces(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, interfacesOf(w)) }

// Writers of other middleware that stand between net/http's and ours.
type (
	onlyAWriter   struct{ http.ResponseWriter }
	withFlusher   struct{ onlyAWriter }
	withReadFrom  struct{ onlyAWriter }
	everythingOdd struct {
		onlyAWriter
		http.Pusher // of no use over HTTP/1, but there
		http.Hijacker
	}
)

func (withFlusher) Flush()                                 {}
func (w withReadFrom) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }
func (o onlyAWriter) Unwrap() http.ResponseWriter          { return o.ResponseWriter }

func TestHandlersGetExactlyTheInterfacesOfTheWriterBelow(t *testing.T) {
	between := map[string]func(http.ResponseWriter) http.ResponseWriter{
		"net/http's own":        func(w http.ResponseWriter) http.ResponseWriter { return w },
		"a writer":              func(w http.ResponseWriter) http.ResponseWriter { return onlyAWriter{w} },
		"one that flushes":      func(w http.ResponseWriter) http.ResponseWriter { return withFlusher{onlyAWriter{w}} },
		"one with ReadFrom":     func(w http.ResponseWriter) http.ResponseWriter { return withReadFrom{onlyAWriter{w}} },
		"an unlikely selection": func(w http.ResponseWriter) http.ResponseWriter { return everythingOdd{onlyAWriter: onlyAWriter{w}} },
	}
	for name, wrap := range between {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			mux := http.NewServeMux()
			mux.HandleFunc("/bare", func(w http.ResponseWriter, r *http.Request) { tellInterfaces(wrap(w), r) })
			ours := stdlib.Middleware(ctl)(http.HandlerFunc(tellInterfaces))
			mux.HandleFunc("/ours", func(w http.ResponseWriter, r *http.Request) { ours.ServeHTTP(wrap(w), r) })
			twice := stdlib.Middleware(ctl)(ours)
			mux.HandleFunc("/twice", func(w http.ResponseWriter, r *http.Request) { twice.ServeHTTP(wrap(w), r) })
			s := servertest.New(t, ctl, servertest.NewHTTP(mux)).Start(servertest.OverTLS.Opts...)
			http1, http2 := clienttest.DialTLS(t, s.Address), clienttest.DialHTTP2(t, s.Address)
			for _, path := range []string{"/ours", "/twice"} {
				if want, got := http1.Get("/bare").Body, http1.Get(path).Body; got != want {
					t.Errorf("over HTTP/1 %s has %s, want %s", path, got, want)
				}
				if want, got := http2.Get("/bare").Body, http2.Get(path).Body; got != want {
					t.Errorf("over HTTP/2 %s has %s, want %s", path, got, want)
				}
			}
		})
	}
}

func TestAResponseControllerReachesThroughTheWriter(t *testing.T) {
	s := serve(t, servertest.NewController(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(onlyAWriter{w})
		far := time.Now().Add(time.Hour)
		if err := c.SetReadDeadline(far); err != nil {
			t.Errorf("%s: SetReadDeadline: %v", r.Proto, err)
		}
		if err := c.SetWriteDeadline(far); err != nil {
			t.Errorf("%s: SetWriteDeadline: %v", r.Proto, err)
		}
		if err := c.Flush(); err != nil {
			t.Errorf("%s: Flush: %v", r.Proto, err)
		}
		servertest.Hello(w, r)
	}), servertest.OverTLS.Opts...)
	get(t, clienttest.DialTLS(t, s.Address), "/")
	if body := clienttest.DialHTTP2(t, s.Address).Get("/").Body; body != "hello" {
		t.Errorf("over HTTP/2 the body is %q", body)
	}
}

func TestANilControllerLeavesTheHandlerAsItIs(t *testing.T) {
	srv := servertest.NewHTTP(stdlib.Middleware(nil)(stdlib.Sensitive(nil)(http.HandlerFunc(tellInterfaces))))
	l := servertest.Listen(t)
	go srv.Serve(l)
	defer srv.Close()
	client := clienttest.Dial(t, l.Addr().String())
	client.ExpectKept(client.Get("/"))
}

func TestSensitiveEndsTheConnectionWithAndWithoutTheMiddlewareAbove(t *testing.T) {
	for name, above := range map[string]func(*core.Controller) func(http.Handler) http.Handler{
		"below the middleware": stdlib.Middleware,
		"alone": func(*core.Controller) func(http.Handler) http.Handler {
			return func(h http.Handler) http.Handler { return h }
		},
		"twice": stdlib.Sensitive,
	} {
		t.Run(name, func(t *testing.T) {
			ctl := servertest.NewController(t)
			mux := http.NewServeMux()
			mux.HandleFunc("/", servertest.Hello)
			mux.Handle("/login", stdlib.Sensitive(ctl)(servertest.Hello))
			s := servertest.New(t, ctl, servertest.NewHTTP(above(ctl)(mux))).Start()
			if name != "twice" {
				client := clienttest.Dial(t, s.Address)
				client.ExpectKept(get(t, client, "/"))
			}
			client := clienttest.Dial(t, s.Address)
			client.ExpectClosed(get(t, client, "/login"))
			expectOneClose(t, ctl, core.ReasonRoute)
		})
	}
}
