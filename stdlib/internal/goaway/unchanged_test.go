package goaway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// report collects what a scenario saw.
type report struct {
	mu    sync.Mutex
	lines []string

	all chan struct{} // closed by the scenario, when it has seen everything
}

func (r *report) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *report) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

type baseKey struct{}
type connKey struct{}

// scenario is what a server is like for its handler, its hooks and its clients.
type scenario struct {
	name    string
	options func(saw *report, srv *http.Server)
	handler func(saw *report, w http.ResponseWriter, r *http.Request)
	client  func(t *testing.T, saw *report, s *server)
}

var scenarios = []scenario{{
	name: "the request and its context",
	options: func(_ *report, srv *http.Server) {
		srv.BaseContext = func(net.Listener) context.Context {
			return context.WithValue(context.Background(), baseKey{}, "base")
		}
		srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, c)
		}
	},
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		srv := ctx.Value(http.ServerContextKey).(*http.Server)
		local := ctx.Value(http.LocalAddrContextKey).(net.Addr)
		conn := ctx.Value(connKey{}).(net.Conn)
		saw.add("%s %s %d.%d, writer %T", r.Method, r.Proto, r.ProtoMajor, r.ProtoMinor, w)
		saw.add("the connection's own addresses: %t %t", conn.RemoteAddr().String() == r.RemoteAddr, conn.LocalAddr().String() == local.String())
		saw.add("the server itself: %t; base context: %v; connection: %T", srv.Handler != nil && srv.ConnContext != nil && srv.BaseContext != nil, ctx.Value(baseKey{}), conn)
		if r.TLS != nil {
			saw.add("TLS %x, %s, complete %t", r.TLS.Version, r.TLS.NegotiatedProtocol, r.TLS.HandshakeComplete)
		}
	},
	client: getOnce,
}, {
	name: "flushed output before the handler returns",
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body) // until the client has read it
		io.WriteString(w, "second")
	},
	client: func(t *testing.T, saw *report, s *server) {
		body, writer := io.Pipe()
		res := roundTrip(t, s, http.MethodPost, body)
		first := make([]byte, 6)
		io.ReadFull(res.Body, first)
		writer.Close()
		rest, err := io.ReadAll(res.Body)
		saw.add("%s%s %v", first, rest, err)
	},
}, {
	name: "trailers and full duplex",
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Sum")
		saw.add("full duplex: %v", http.NewResponseController(w).EnableFullDuplex())
		io.Copy(w, r.Body)
		w.Header().Set("Sum", "42")
		w.Header().Set(http.TrailerPrefix+"Late", "yes")
		saw.add("request trailer: %v", r.Trailer)
	},
	client: func(t *testing.T, saw *report, s *server) {
		req, _ := http.NewRequest(http.MethodPost, s.url(), strings.NewReader(strings.Repeat("x", 1<<20)))
		req.Trailer = http.Header{"End": {"reached"}}
		res, err := s.transport(t).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		n, err := io.Copy(io.Discard, res.Body)
		saw.add("%d bytes, %v, trailer %v", n, err, res.Trailer)
	},
}, {
	name: "ResponseController",
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_, _, hijack := rc.Hijack()
		saw.add("%v; %v; %v; %v", rc.SetReadDeadline(time.Now().Add(time.Hour)), rc.SetWriteDeadline(time.Time{}), rc.Flush(), hijack)
		rc.SetReadDeadline(time.Unix(1, 0))
		_, err := io.ReadAll(r.Body)
		saw.add("past its deadline: %v", err)
	},
	client: func(t *testing.T, saw *report, s *server) {
		body, writer := io.Pipe()
		defer writer.Close()
		res := roundTrip(t, s, http.MethodPost, body)
		_, err := io.ReadAll(res.Body)
		saw.add("%s %v", res.Status, err)
	},
}, {
	name: "server push",
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			err := w.(http.Pusher).Push("/pushed", nil)
			saw.add("%v", err)
		}
	},
	client: func(t *testing.T, saw *report, s *server) {
		c := s.dial(t)
		c.request(1, http.MethodGet)
		promise := want[*http2.PushPromiseFrame](c, "a PUSH_PROMISE")
		for f := http2.Frame(promise); f.Header().Type != http2.FrameHeaders || f.Header().StreamID != 1; {
			if f = c.next(); f == nil {
				t.Fatal("no answer")
			}
		}
		saw.add("stream %d", promise.PromiseID)
	},
}, {
	name: "settings that reach the client",
	options: func(_ *report, srv *http.Server) {
		srv.MaxHeaderBytes = 12345
		srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 7, MaxReadFrameSize: 1 << 15, MaxReceiveBufferPerStream: 1 << 17}
	},
	client: func(t *testing.T, saw *report, s *server) {
		nc := connect(t, s)
		io.WriteString(nc, preface)
		f, err := http2.NewFramer(nc, nc).ReadFrame()
		saw.add("%v %v", f, err)
	},
}, {
	name: "ErrorLog",
	options: func(saw *report, srv *http.Server) {
		srv.ErrorLog = log.New(lineWriter(func(line string) {
			saw.add("%s", line[:strings.Index(line, " serving")])
			close(saw.all)
		}), "", 0)
	},
	handler: func(*report, http.ResponseWriter, *http.Request) { panic("expected") },
	client: func(t *testing.T, saw *report, s *server) {
		c := s.dial(t)
		c.request(1, http.MethodGet)
		want[*http2.RSTStreamFrame](c, "a RST_STREAM")
		<-saw.all
	},
}, {
	name: "ConnState",
	options: func(saw *report, srv *http.Server) {
		var first net.Conn
		srv.ConnState = func(c net.Conn, state http.ConnState) {
			if state == http.StateNew {
				first = c
			}
			saw.add("%v %T, the same: %t", state, c, c == first)
			if state == http.StateClosed {
				close(saw.all)
			}
		}
	},
	client: func(t *testing.T, saw *report, s *server) {
		c := s.dial(t)
		for stream := range uint32(2) {
			c.request(2*stream+1, http.MethodGet)
			c.wantAnswer(2*stream + 1)
		}
		c.Close()
		<-saw.all
	},
}, {
	name: "OPTIONS *",
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		saw.add("the handler got it")
	},
	client: options,
}, {
	name: "OPTIONS * for the handler",
	options: func(_ *report, srv *http.Server) {
		srv.DisableGeneralOptionsHandler = true
	},
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		saw.add("the handler got %s", r.RequestURI)
	},
	client: options,
}, {
	name: "HTTP/1.1 beside it",
	handler: func(saw *report, w http.ResponseWriter, r *http.Request) {
		saw.add("%s %T, TLS %t", r.Proto, w, r.TLS != nil)
	},
	client: func(t *testing.T, saw *report, s *server) {
		tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(true)
		defer tr.CloseIdleConnections()
		req, _ := http.NewRequest(http.MethodGet, s.url(), nil)
		res, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	},
}, {
	name: "a client that does not begin with the preface",
	options: func(saw *report, srv *http.Server) {
		srv.ErrorLog = log.New(lineWriter(func(line string) {
			before, _, _ := strings.Cut(line, "127.0.0.1")
			_, after, _ := strings.Cut(line, ": bogus")
			saw.add("%s … %s", before, after)
		}), "", 0)
	},
	client: func(t *testing.T, saw *report, s *server) {
		if !s.secure {
			return // it speaks HTTP/1 then
		}
		nc := connect(t, s)
		nc.Write(bytes.Repeat([]byte("no preface"), 3))
		for {
			if _, err := nc.Read(make([]byte, 1000)); err != nil {
				saw.add("%t", errors.Is(err, io.EOF))
				return
			}
		}
	},
}}

func TestAServerIsWhatItIsWithoutInstall(t *testing.T) {
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, secure bool) {
				var saw [2]string
				for i := range saw {
					saw[i] = sc.run(t, secure, i == 1)
				}
				if saw[0] != saw[1] {
					t.Errorf("with Install:\n%s\nwithout:\n%s", saw[1], saw[0])
				}
			})
		})
	}
}

func (sc *scenario) run(t *testing.T, secure, install bool) string {
	saw := &report{all: make(chan struct{})}
	s := configured(secure, func(w http.ResponseWriter, r *http.Request) {
		if sc.handler != nil {
			sc.handler(saw, w, r)
		}
	})
	if sc.options != nil {
		sc.options(saw, s.Server)
	}
	if install {
		s.install(t)
	}
	s.start(t)
	sc.client(t, saw, s)
	return saw.String()
}

func roundTrip(t *testing.T, s *server, method string, body io.Reader) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, s.url(), body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.transport(t).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func getOnce(t *testing.T, saw *report, s *server) {
	saw.add("%s", roundTrip(t, s, http.MethodGet, nil).Status)
}

func options(t *testing.T, saw *report, s *server) {
	c := s.dial(t)
	c.send(1, http.MethodOptions, "*")
	f := want[*http2.HeadersFrame](c, "an answer")
	saw.add("%v", f.Header())
}

type lineWriter func(string)

func (w lineWriter) Write(p []byte) (int, error) { w(string(p)); return len(p), nil }

// A field that a later Go gives http.Server must not be forgotten.
func TestTheShadowHasEverySettingThatHTTP2Reads(t *testing.T) {
	srv := new(http.Server)
	from := reflect.ValueOf(srv).Elem()
	for i := range from.NumField() {
		if field := from.Type().Field(i); field.IsExported() {
			fill(t, field.Name, from.Field(i))
		}
	}
	shadow := reflect.ValueOf((&direct{in: &installed{srv: srv}}).shadow()).Elem()
	for i := range from.NumField() {
		field := from.Type().Field(i)
		if !field.IsExported() || notCopied[field.Name] {
			continue
		}
		if got, want := fmt.Sprint(shadow.Field(i)), fmt.Sprint(from.Field(i)); got != want || from.Field(i).IsZero() {
			t.Errorf("%s is %s on the shadow, %s on the server", field.Name, got, want)
		}
	}
	for name := range notCopied {
		if _, ok := from.Type().FieldByName(name); !ok {
			t.Errorf("http.Server has no field %s", name)
		}
	}
}

// fill makes a field anything but its zero value.
func fill(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(12345)
	case reflect.String:
		v.SetString("12345")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Func:
		v.Set(reflect.MakeFunc(v.Type(), func([]reflect.Value) []reflect.Value { return nil }))
	case reflect.Interface:
		v.Set(reflect.ValueOf(http.NotFoundHandler()))
	default:
		t.Fatalf("http.Server.%s is a %s: can a shadow share it?", name, v.Kind())
	}
}
