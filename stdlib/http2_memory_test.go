package stdlib_test

import (
	"net/http"
	"runtime"
	"testing"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// What net/http keeps for a connection is its goroutines' stacks more than
// anything else, and these come in powers of two: it does not take much to need the
// next one.
func TestATrackedHTTP2ConnectionCostsLittleMemory(t *testing.T) {
	const connections, limit = 200, 1.1
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		// measure returns the bytes that an idle connection takes, with its client.
		measure := func(track func(*http.Server)) float64 {
			srv, l := servertest.NewHTTP2(servertest.Hello), servertest.Listen(t)
			track(srv)
			servertest.Serve(t, srv, l, over)
			clients := make([]*clienttest.HTTP2, connections)
			over.DialHTTP2(t, l.Addr().String()).Get("/")
			goroutines := runtime.NumGoroutine()
			before := heapAndStacks()
			for i := range clients {
				clients[i] = over.DialHTTP2(t, l.Addr().String())
				clients[i].Get("/")
				clients[i].ExpectOpen()
			}
			grown := heapAndStacks() - before
			for _, c := range clients {
				c.Close()
			}
			clienttest.Eventually(t, "the end of what serves them", func() bool { return runtime.NumGoroutine() <= goroutines })
			return float64(grown) / connections
		}
		measure(func(*http.Server) {}) // what the process needs once
		bare := measure(func(*http.Server) {})
		ctl := servertest.NewController(t)
		tracked := measure(func(srv *http.Server) {
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%.0f bytes a connection and its client, %.0f without us", tracked, bare)
		if tracked > limit*bare {
			t.Errorf("%.2f times as much", tracked/bare)
		}
	})
}

func heapAndStacks() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
