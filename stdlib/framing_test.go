package stdlib_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// A socketKind is one kind of connection under a server. net/http hands a copy on
// to those that have a ReadFrom, and frames the response accordingly.
type socketKind struct {
	name   string
	over   servertest.Transport
	listen func(testing.TB) net.Listener
}

// limited hides what a connection can do besides, as netutil.LimitListener does.
type limited struct{ net.Listener }

func (l limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return struct{ net.Conn }{conn}, err
}

var socketKinds = []socketKind{
	{"TCP", servertest.Cleartext, servertest.Listen},
	{"TLS", servertest.OverTLS, servertest.Listen},
	{"TCP behind a listener that hides it", servertest.Cleartext, func(t testing.TB) net.Listener { return limited{servertest.Listen(t)} }},
	{"a Unix socket", servertest.Cleartext, func(t testing.TB) net.Listener {
		l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}},
}

// ask returns all that a server sends to one request.
func (k socketKind) ask(t *testing.T, l net.Listener, path string) string {
	t.Helper()
	conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if k.over.TLS() {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its certificate is the test's own
	}
	conn.SetDeadline(time.Now().Add(clienttest.Patience))
	io.WriteString(conn, clienttest.Request("GET", path))
	conn.(interface{ CloseWrite() error }).CloseWrite() // so that the server ends it too
	sent, err := io.ReadAll(conn)
	if err != nil {
		t.Error(err)
	}
	return string(sent)
}

// copying answers /N/… with a copy of N bytes, and closes by its own word below
// …/close where it has to say so itself.
func copying(says bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{size}/{then}", func(w http.ResponseWriter, r *http.Request) {
		size := 0
		fmt.Sscan(r.PathValue("size"), &size)
		w.Header()["Date"] = nil
		if says && r.PathValue("then") == "close" {
			w.Header().Set("Connection", "close")
		}
		io.Copy(w, struct{ io.Reader }{strings.NewReader(strings.Repeat("x", size))})
	})
	return mux
}

func TestACopyIsFramedAsWithoutUsOverEverySocket(t *testing.T) {
	for _, kind := range socketKinds {
		bare := kind.listen(t)
		servertest.Serve(t, servertest.NewHTTP(copying(true)), bare, kind.over)
		for name, serve := range map[string]func(*testing.T, *core.Controller, net.Listener){
			"with the middleware alone": func(t *testing.T, ctl *core.Controller, l net.Listener) {
				servertest.Serve(t, servertest.NewHTTP(stdlib.Middleware(ctl)(copying(false))), l, kind.over)
			},
			"with the middleware below one that copies the request": func(t *testing.T, ctl *core.Controller, l net.Listener) {
				below := stdlib.Middleware(ctl)(copying(false))
				srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					below.ServeHTTP(w, r.WithContext(r.Context()))
				}))
				if err := stdlib.Track(srv, ctl); err != nil {
					t.Fatal(err)
				}
				servertest.Serve(t, srv, l, kind.over)
			},
			"with two middlewares": func(t *testing.T, ctl *core.Controller, l net.Listener) {
				other := stdlib.Middleware(servertest.NewController(t))
				servertest.Serve(t, servertest.NewHTTP(other(stdlib.Middleware(ctl)(copying(false)))), l, kind.over)
			},
		} {
			t.Run(kind.name+" "+name, func(t *testing.T) {
				l := kind.listen(t)
				serve(t, servertest.NewController(t, core.OnRoutes("/{size}/close")), l)
				for _, size := range []int{0, 511, 512, 700, 2048, 2049, 100_000} {
					for _, then := range []string{"keep", "close"} {
						path := fmt.Sprintf("/%d/%s", size, then)
						if want, got := kind.ask(t, bare, path), kind.ask(t, l, path); got != want {
							t.Errorf("%s: %d bytes, %q, and without us %d bytes, %q", path, len(got), head(got), len(want), head(want))
						}
					}
				}
			})
		}
	}
}

func head(response string) string {
	head, _, _ := strings.Cut(response, "\r\n\r\n")
	return head
}
