package stdlib_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestReady(t *testing.T) {
	ask := func(ctl *core.Controller) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		stdlib.Ready(ctl).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		if got := w.Result().Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q", got)
		}
		return w
	}
	ctl := newController(t)
	for _, c := range []struct {
		name   string
		ctl    *core.Controller
		before func()
		want   int
	}{
		{"while serving", ctl, func() {}, http.StatusOK},
		{"while draining", ctl, ctl.Drain, http.StatusServiceUnavailable},
		{"resumed", ctl, func() { ctl.Resume() }, http.StatusOK},
		{"without a Controller", nil, func() {}, http.StatusOK},
		{"by a flag", newController(t, core.DrainWhen(func() bool { return true })), func() {}, http.StatusServiceUnavailable},
	} {
		c.before()
		if got := ask(c.ctl).Code; got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestDrainWhenAnnouncesAndClosesNoListener(t *testing.T) {
	var up atomic.Bool
	ctl := newController(t, core.DrainWhen(up.Load))
	mux := http.NewServeMux()
	mux.HandleFunc("/", hello)
	mux.Handle("/readyz", stdlib.Ready(ctl))
	s := serve(t, ctl, mux)
	client := clienttest.Dial(t, s.address)
	client.ExpectKept(get(t, client, "/"))
	up.Store(true)
	clienttest.Eventually(t, "not ready", func() bool { // the flag is read once a second
		r := clienttest.Dial(t, s.address).Get("/readyz")
		return r.Status == http.StatusServiceUnavailable
	})
	client.ExpectClosed(get(t, client, "/"))
	another := clienttest.Dial(t, s.address)
	another.ExpectClosed(get(t, another, "/"))
	up.Store(false)
	clienttest.Eventually(t, "ready again", func() bool { return !ctl.Draining() })
	another = clienttest.Dial(t, s.address)
	another.ExpectKept(get(t, another, "/"))
}
