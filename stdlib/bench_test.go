package stdlib_test

import (
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func someRoutes() core.Option { return core.OnRoutes("/login", "POST /admin/{id}", "/internal/") }

// everyRule has all rules, none of which closes.
func everyRule() []core.Option {
	return []core.Option{
		someRoutes(),
		core.Exempt("/healthz"),
		core.OnAge(time.Hour),
		core.OnRequestCount(1 << 30),
		core.OnStatus(http.StatusRequestEntityTooLarge),
		core.OnMatch("legacy", func(r *http.Request) bool { return !r.ProtoAtLeast(1, 1) }), // its own time comes on top
		core.OnLoad(core.Signal{Name: "none", Soft: 1, Hard: 2, Read: func(core.Snapshot) (float64, error) { return 0, nil }}),
		core.DrainWhen(func() bool { return false }),
	}
}

// BenchmarkMiddleware measures an exchange that keeps its connection within a
// handler of a tracked server, where net/http's own writer is below.
func BenchmarkMiddleware(b *testing.B) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, protocol := range []struct {
		name string
		get  func(testing.TB, string)
	}{
		{"HTTP1", func(t testing.TB, address string) { clienttest.DialTLS(t, address).Get("/api/users/7") }},
		{"HTTP2", func(t testing.TB, address string) { clienttest.DialHTTP2(t, address).Get("/api/users/7") }},
	} {
		for _, c := range []struct {
			name string
			opts []core.Option
		}{
			{"bare handler", nil},
			{"drain and routes", []core.Option{someRoutes()}},
			{"every rule", everyRule()},
		} {
			b.Run(protocol.name+"/"+c.name, func(b *testing.B) {
				ctl := servertest.NewController(b, c.opts...)
				next := stdlib.Middleware(ctl)(nothing)
				if c.opts == nil {
					next = nothing
				}
				b.ReportAllocs()
				protocol.get(b, servertest.ServeTracked(b, servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for b.Loop() {
						next.ServeHTTP(w, r)
					}
				})), ctl, servertest.OverTLS))
			})
		}
	}
}

// BenchmarkThroughput compares the requests per second through one keep-alive
// connection with and without us, in 21 interleaved rounds. Two servers are without
// us; the ratios are to their mean, and that of one to the other shows what of it is
// noise. It reports the median of the ratios and the lower bound of its 95 %
// confidence interval.
//
// In a round the servers take turns every few requests, so that a machine that
// changes its pace by half within milliseconds does so for all of them. Each finds
// the caches full of the others' work then. Each round has new connections,
// because one may be faster than another for as long as it lasts, by where its
// buffers happen to lie.
func BenchmarkThroughput(b *testing.B) {
	const rounds, turns, requests = 21, 1500, 20
	// It sets a header field, as most handlers do: for one that does not ask for
	// its header net/http spares a copy of it, which our look at it costs.
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, "hello")
	})
	withRules := func(rules ...core.Option) (address string) {
		ctl := servertest.NewController(b, rules...)
		return servertest.ServeTracked(b, servertest.NewHTTP(stdlib.Middleware(ctl)(app)), ctl, servertest.Cleartext)
	}
	bare, again := serveBare(b, servertest.Cleartext, app), serveBare(b, servertest.Cleartext, app)
	routes, every := withRules(someRoutes()), withRules(everyRule()...)
	excess := withRules(someRoutes(), core.OnExcess(func() int { return 1 << 20 }))
	for b.Loop() {
		var withRoutes, withEvery, withExcess, noise []float64
		for range rounds {
			rates := takeTurns(b, turns, requests, bare, routes, every, excess, again)
			without := (rates[0] + rates[4]) / 2
			withRoutes = append(withRoutes, rates[1]/without)
			withEvery = append(withEvery, rates[2]/without)
			withExcess = append(withExcess, rates[3]/rates[1])
			noise = append(noise, rates[4]/rates[0])
		}
		reportRatios(b, "routes/without", withRoutes)
		reportRatios(b, "every-rule/without", withEvery)
		reportRatios(b, "excess/routes", withExcess)
		reportRatios(b, "without/without", noise)
	}
	b.ReportMetric(0, "ns/op") // its length says nothing
}

func reportRatios(b *testing.B, name string, ratios []float64) {
	b.Helper()
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], name)
	b.ReportMetric(ratios[6], name+"-lower95") // of 21 values the 7th is below the median with a probability of 96 %
}

// takeTurns returns the requests per second of each server.
func takeTurns(b *testing.B, turns, requests int, servers ...string) (rates []float64) {
	b.Helper()
	const warmUp = 200
	var all []*exchanger
	for _, address := range servers {
		x := newExchanger(b, address)
		defer x.conn.Close()
		x.exchange(b, warmUp)
		x.spent = 0
		all = append(all, x)
	}
	order := slices.Clone(all)
	for range turns {
		for _, x := range order {
			x.exchange(b, requests)
		}
		order = append(order[1:], order[0]) // none has the better place
	}
	for _, x := range all {
		rates = append(rates, float64(turns*requests)/x.spent.Seconds())
	}
	return rates
}

// exchanger makes requests one after the other.
type exchanger struct {
	conn     net.Conn
	request  []byte
	response []byte // as long as a response is
	spent    time.Duration
}

func newExchanger(b *testing.B, address string) *exchanger {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	x := &exchanger{conn: conn, request: []byte(clienttest.Request("GET", "/")), response: make([]byte, 4<<10)}
	if _, err := conn.Write(x.request); err != nil {
		b.Fatal(err)
	}
	n, err := conn.Read(x.response)
	if err != nil {
		b.Fatal(err)
	}
	x.response = x.response[:n]
	return x
}

func (x *exchanger) exchange(b *testing.B, n int) {
	began := time.Now()
	for range n {
		if _, err := x.conn.Write(x.request); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(x.conn, x.response); err != nil {
			b.Fatal(err)
		}
	}
	x.spent += time.Since(began)
}
