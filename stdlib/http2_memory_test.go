package stdlib_test

import (
	"math"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// What net/http keeps for a connection is its goroutines' stacks more than
// anything else, and these come in powers of two: it does not take much to need the
// next one. One measurement is a few per cent too high, as some stacks are
// just then larger than they have to be: the least of three or more is compared.
func TestATrackedHTTP2ConnectionCostsLittleMemory(t *testing.T) {
	const connections, measurements, limit = 100, 5, 1.1
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
			grown := float64(heapAndStacks()) - float64(before)
			for _, c := range clients {
				c.Close()
			}
			clienttest.Eventually(t, "the end of what serves them", func() bool { return runtime.NumGoroutine() <= goroutines })
			return grown / connections
		}
		ctl := servertest.NewController(t)
		track := func(srv *http.Server) {
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
		}
		without := func(*http.Server) {}
		measure(without) // what the process needs once
		var all, allWithout []float64
		tracked, bare := math.Inf(1), 0.0
		for n := range measurements {
			allWithout = append(allWithout, measure(without))
			all = append(all, measure(track))
			// The middle, as what ends meanwhile of a test before this one makes one too low.
			slices.Sort(allWithout)
			tracked, bare = slices.Min(all), allWithout[n/2]
			if n >= measurements/2 && tracked <= limit*bare {
				break
			}
		}
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
