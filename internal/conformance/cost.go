package conformance

import (
	"context"
	"math"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// maxAllocations is what an adapter may cost below the entry, over the entry
// alone, where the connection is kept. One of them is what echo v4 makes for
// every middleware.
const maxAllocations = 2

var idle = Route{Method: http.MethodGet, Path: "/api/idle", Native: Nothing}

// testAllocations counts. A race detector makes sync.Pool forget now and then,
// with us and without, hence the half. What else runs in the process only adds to
// a count, so the least of several counts.
func (f Framework) testAllocations(t *testing.T) {
	ctl := servertest.NewController(t, everyRule()...)
	bare := f.allocations(t, App{Routes: []Route{idle}}, ctl)
	ours := f.allocations(t, App{Routes: []Route{idle}, Controller: ctl, Placement: Outermost}, ctl)
	if ours-bare > maxAllocations+0.5 {
		t.Errorf("an exchange makes %.2f allocations, and without the adapter %.2f: %d more are allowed", ours, bare, maxAllocations)
	}
	for reason, n := range ctl.Stats().Closes {
		if n != 0 {
			t.Errorf("%d closes for the reason %q: that was not what had to be measured", n, reason)
		}
	}
}

func (f Framework) allocations(t *testing.T, app App, ctl *core.Controller) float64 {
	const rounds, exchanges = 5, 1000
	least := uint64(math.MaxUint64)
	f.inHandler(t, app, ctl, func(exchange func()) {
		exchange() // what is made once
		for range rounds {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range exchanges {
				exchange()
			}
			runtime.ReadMemStats(&after)
			least = min(least, after.Mallocs-before.Mallocs)
		}
	})
	return float64(least) / exchanges
}

// Benchmark measures an exchange that keeps its connection: through the
// framework alone, behind the entry, and with the adapter below the entry, in
// the same run.
func Benchmark(b *testing.B, f Framework) {
	b.Run("without", func(b *testing.B) { f.benchmark(b, App{Routes: []Route{idle}}, nil) })
	for _, with := range []struct {
		name    string
		options []core.Option
	}{
		{"drain and routes", []core.Option{core.OnRoutes("/login", "/admin/", "/internal/")}},
		{"every rule", everyRule()},
	} {
		ctl, err := core.New(with.options...)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(with.name+", entry", func(b *testing.B) { f.benchmark(b, App{Routes: []Route{idle}}, ctl) })
		b.Run(with.name+", adapter", func(b *testing.B) {
			f.benchmark(b, App{Routes: []Route{idle}, Controller: ctl, Placement: Outermost}, ctl)
		})
	}
}

func (f Framework) benchmark(b *testing.B, app App, ctl *core.Controller) {
	f.inHandler(b, app, ctl, func(exchange func()) {
		b.ReportAllocs()
		for b.Loop() {
			exchange()
		}
	})
}

// inHandler calls measure within a handler of a real server, so that net/http's
// own writer and a connection record are below each exchange. Each goes through
// an entry of its own, unless ctl is nil.
func (f Framework) inHandler(t testing.TB, app App, ctl *core.Controller, measure func(exchange func())) {
	t.Helper()
	handler := f.New(t, app)
	if f.WritesHeader {
		framework := handler
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { framework.ServeHTTP(headerless{w}, r) })
	}
	srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		measure(func() { handler.ServeHTTP(w, r) })
	}))
	if ctl != nil {
		handler = core.NewEntry(ctl, handler)
		srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			record := new(core.Connection)
			record.Open(ctl, nil)
			return record.Context(ctx)
		}
	}
	listener := servertest.Listen(t)
	servertest.Serve(t, srv, listener, servertest.Cleartext)
	conn := clienttest.Dial(t, listener.Addr().String())
	conn.SetDeadline(time.Now().Add(time.Hour))
	conn.Get(idle.Path)
}

// headerless writes no header.
type headerless struct{ http.ResponseWriter }

func (headerless) WriteHeader(int) {}

func (h headerless) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// everyRule configures all rules so that none of them closes.
func everyRule() []core.Option {
	return []core.Option{
		core.OnRoutes("/login", "POST /admin/{id}", "/internal/"),
		core.Exempt("/healthz"),
		core.OnAge(time.Hour),
		core.OnRequestCount(1 << 30),
		core.OnStatus(http.StatusRequestEntityTooLarge),
		core.OnMatch("legacy", func(r *http.Request) bool { return !r.ProtoAtLeast(1, 1) }), // its own time comes on top
		core.OnLoad(core.Signal{Name: "none", Soft: 1, Hard: 2, Read: func(core.Snapshot) (float64, error) { return 0, nil }}),
		core.DrainWhen(func() bool { return false }),
	}
}
