package promadapter_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/instruments"
	"github.com/politeclose/politeclose/internal/instruments/instrumentstest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/promadapter"
)

// registry returns one with the collector of ctl.
func registry(t testing.TB, ctl *core.Controller) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(promadapter.NewCollector(ctl)); err != nil {
		t.Fatal(err)
	}
	return r
}

func gather(t testing.TB, r prometheus.Gatherer) []*dto.MetricFamily {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

var types = map[instruments.Kind]dto.MetricType{
	instruments.Counter:       dto.MetricType_COUNTER,
	instruments.UpDownCounter: dto.MetricType_GAUGE,
	instruments.Gauge:         dto.MetricType_GAUGE,
	instruments.Histogram:     dto.MetricType_HISTOGRAM,
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	}
	return float64(m.Histogram.GetSampleCount())
}

func TestTheCollectorHasWhatTheTableSays(t *testing.T) {
	ctl := instrumentstest.Controller(t)
	r := registry(t, ctl)
	instrumentstest.Use(t, ctl)
	haveEnded(t, r, 2)
	families := gather(t, r)
	if len(families) != len(instruments.All) {
		t.Errorf("%d metrics, the table has %d", len(families), len(instruments.All))
	}
	for _, family := range families {
		t.Run(family.GetName(), func(t *testing.T) {
			i := instrumentstest.Find(t, func(i instruments.Instrument) bool { return i.PrometheusName() == family.GetName() })
			if family.GetType() != types[i.Kind] || family.GetHelp() != i.Help {
				t.Errorf("type %v and help %q; want %q and %q", family.GetType(), family.GetHelp(), i.Kind, i.Help)
			}
			want := maps.Clone(instrumentstest.Values[i.Name])
			for _, m := range family.Metric {
				var values []string
				for _, name := range i.PrometheusLabels() {
					n := slices.IndexFunc(m.Label, func(p *dto.LabelPair) bool { return p.GetName() == name })
					if n < 0 || len(m.Label) != len(i.Labels) {
						t.Fatalf("the labels are %v, want %v", m.Label, i.PrometheusLabels())
					}
					values = append(values, m.Label[n].GetValue())
				}
				series := strings.Join(values, " ")
				if want, given := want[series]; given && value(m) != want {
					t.Errorf("{%s} is %v, want %v", series, value(m), want)
				}
				delete(want, series)
				if i.Kind == instruments.Histogram && len(m.Histogram.Bucket) != len(i.Buckets) {
					t.Errorf("{%s} has %d buckets, want %d", series, len(m.Histogram.Bucket), len(i.Buckets))
				}
			}
			if len(want) > 0 {
				t.Errorf("missing: %v", want)
			}
		})
	}
}

// haveEnded waits until the histograms have so many connections.
func haveEnded(t testing.TB, r *prometheus.Registry, connections uint64) {
	t.Helper()
	clienttest.Eventually(t, "the histograms have the connections", func() bool {
		for _, family := range gather(t, r) {
			if family.GetName() == "politeclose_connection_requests" {
				return family.Metric[0].Histogram.GetSampleCount() == connections
			}
		}
		return false
	})
}

// page is what Prometheus would scrape.
func page(t testing.TB, g prometheus.Gatherer) []byte {
	t.Helper()
	recorder := httptest.NewRecorder()
	promhttp.HandlerFor(g, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("%d: %s", recorder.Code, recorder.Body)
	}
	return recorder.Body.Bytes()
}

func TestTheMetricsAreClean(t *testing.T) {
	ctl := instrumentstest.Controller(t)
	r := registry(t, ctl)
	instrumentstest.Use(t, ctl)
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	t.Run("promtool check metrics", func(t *testing.T) {
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			t.Skip("promtool is not installed; Debian has it in the package prometheus")
		}
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = bytes.NewReader(page(t, r))
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: %s", err, out)
		}
	})
}

func TestAScrapeCostsTheSameHoweverManyConnectionsThereAre(t *testing.T) {
	ctl := instrumentstest.Controller(t)
	r := registry(t, ctl)
	scrape := func() { page(t, r) }
	scrape()
	// The least of some: a garbage collection empties the pools of promhttp.
	bytesOf := func() (allocated uint64) {
		allocated = math.MaxUint64
		for range 20 {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			scrape()
			runtime.ReadMemStats(&after)
			allocated = min(allocated, after.TotalAlloc-before.TotalAlloc)
		}
		return allocated
	}
	few := bytesOf()
	instrumentstest.OpenMany(ctl, instrumentstest.Many)
	many := bytesOf()
	took := instrumentstest.Within(t, 10*time.Millisecond, scrape)
	t.Logf("a scrape takes %v at %d connections and allocates %d bytes, %d at none", took, instrumentstest.Many, many, few)
	if many > few+few/4 {
		t.Errorf("a scrape allocates %d bytes at %d connections, %d at none", many, instrumentstest.Many, few)
	}
}

// Ids, paths, hosts and reasons that clients and handlers make up are the values
// of no label.
func TestTheSeriesAreFewWhateverClientsSend(t *testing.T) {
	connections := 20_000
	if os.Getenv("POLITECLOSE_FULL") != "" {
		connections = 1_000_000
	}
	ctl := instrumentstest.Controller(t)
	r := registry(t, ctl)
	count := func() (series int) {
		for _, family := range gather(t, r) {
			series += len(family.Metric)
		}
		return series
	}
	visit := func(n int) {
		c := new(core.Connection)
		c.Open(ctl, nil)
		request := httptest.NewRequest(fmt.Sprint("METHOD", n), fmt.Sprint("/login/", n), nil)
		request.Header.Set("User-Agent", fmt.Sprint("agent ", n))
		request = request.WithContext(c.Context(context.Background()))
		request.Pattern = fmt.Sprint("/pattern/", n)
		_, exchange := ctl.Begin(request)
		core.CloseAfter(request.Context(), core.Reason(fmt.Sprint("reason ", n)))
		exchange.Commit(make(http.Header), 200+n%300)
		exchange.End()
		c.Gone([]core.How{"", core.HowClient, core.HowError, core.HowIdle, core.HowForced, core.HowUnknown}[n%6])
	}
	for n := range 100 {
		visit(n)
	}
	haveEnded(t, r, 100)
	few := count()
	for n := range connections {
		visit(n)
	}
	if many := count(); many != few {
		t.Errorf("%d series after %d connections, %d after 100", many, connections, few)
	}
	t.Logf("%d series", few)
}

func TestTheCollectorOfANilControllerCollectsNothing(t *testing.T) {
	r := prometheus.NewRegistry()
	if err := r.Register(promadapter.NewCollector(nil)); err != nil {
		t.Fatal(err)
	}
	if families := gather(t, r); len(families) != 0 {
		t.Errorf("%v", families)
	}
}

func TestTwoControllersCanBeToldApartByALabel(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	for _, name := range []string{"public", "internal"} {
		prometheus.WrapRegistererWith(prometheus.Labels{"server": name}, r).MustRegister(promadapter.NewCollector(servertest.NewController(t)))
	}
	gather(t, r)
}

func ExampleNewCollector() {
	ctl, err := core.New()
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(promadapter.NewCollector(ctl))
	ctl.Drain()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP politeclose_draining 1 while the drain flag is up, 0 while it is not.
# TYPE politeclose_draining gauge
politeclose_draining 1
`), "politeclose_draining"); err != nil {
		fmt.Println(err)
	}
	// Output:
}
