// Package exampletest holds the example servers to being the same application.
package exampletest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/conformance"
)

// Run tests the routes of an example.
func Run(t *testing.T, routes func(*core.Controller) http.Handler) {
	start := func(t *testing.T) (*core.Controller, string) {
		ctl, err := core.New()
		if err != nil {
			t.Fatal(err)
		}
		return ctl, conformance.Serve(t, routes(ctl), ctl)
	}
	expect := func(t *testing.T, response clienttest.Response, status int, body string) {
		t.Helper()
		if response.Status != status || body != "" && response.Body != body {
			t.Errorf("the answer is %d and %.100q, not %d and %.100q", response.Status, response.Body, status, body)
		}
	}

	t.Run("ordinary, slow and large responses keep the connection", func(t *testing.T) {
		t.Parallel()
		_, address := start(t)
		conn := clienttest.Dial(t, address)
		for path, body := range map[string]string{
			"/":      "hello\n",
			"/slow":  "done\n",
			"/large": strings.Repeat("politeclose\n", 8<<20/12),
		} {
			response := conn.Get(path)
			expect(t, response, http.StatusOK, body)
			conn.ExpectKept(response)
		}
		conn.Send(clienttest.Request(http.MethodPost, "/"))
		expect(t, conn.Receive(), http.StatusOK, "hello\n")
	})
	t.Run("the sensitive route ends the connection", func(t *testing.T) {
		t.Parallel()
		_, address := start(t)
		conn := clienttest.Dial(t, address)
		conn.Send(clienttest.Request(http.MethodPost, "/login"))
		response := conn.Receive()
		expect(t, response, http.StatusOK, "welcome\n")
		conn.ExpectClosed(response)
	})
	t.Run("it is ready until it drains", func(t *testing.T) {
		t.Parallel()
		ctl, address := start(t)
		conn := clienttest.Dial(t, address)
		expect(t, conn.Get("/readyz"), http.StatusOK, "")
		ctl.Drain()
		response := conn.Get("/readyz")
		expect(t, response, http.StatusServiceUnavailable, "")
		conn.ExpectClosed(response)
	})
	t.Run("a drain ends the stream", func(t *testing.T) {
		t.Parallel()
		ctl, address := start(t)
		conn := clienttest.Dial(t, address)
		conn.Send(clienttest.Request(http.MethodGet, "/stream"))
		clienttest.Eventually(t, "the stream has begun", func() bool {
			stats := ctl.Stats() // what streams is not in flight
			return stats.Exchanges == 1 && stats.InFlight == 0
		})
		ctl.Drain()
		if response := conn.Receive(); !strings.HasSuffix(response.Body, "bye\n") {
			t.Errorf("the stream was %q", response.Body)
		}
	})
}
