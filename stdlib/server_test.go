package stdlib_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// full asks for the measurements of the issue at their whole size.
var full = os.Getenv("POLITECLOSE_FULL") != ""

// serve runs handler behind the middleware.
func serve(t testing.TB, ctl *core.Controller, handler http.Handler, opts ...stdlib.ServeOption) *servertest.Server {
	t.Helper()
	return servertest.New(t, ctl, servertest.NewHTTP(stdlib.Middleware(ctl)(handler))).Start(opts...)
}

// serveBare serves without us until the end of the test.
func serveBare(t testing.TB, over servertest.Transport, handler http.Handler) (address string) {
	t.Helper()
	return startBare(t, servertest.NewHTTP(handler), over)
}

// startBare is serveBare for a server that the test has configured.
func startBare(t testing.TB, srv *http.Server, over servertest.Transport) (address string) {
	t.Helper()
	l := servertest.Listen(t)
	servertest.Serve(t, srv, l, over)
	return l.Addr().String()
}

// get makes one exchange that has to succeed.
func get(t testing.TB, c *clienttest.Conn, path string, lines ...string) clienttest.Response {
	t.Helper()
	response := c.Get(path, lines...)
	if response.Status != http.StatusOK || response.Body != "hello" {
		t.Errorf("GET %s was answered with %d and %q", path, response.Status, response.Body)
	}
	return response
}
