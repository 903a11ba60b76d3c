package oteladapter_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/instruments"
	"github.com/politeclose/politeclose/internal/instruments/instrumentstest"
	"github.com/politeclose/politeclose/oteladapter"
)

// collect returns the metrics that there are now.
func collect(t testing.TB, reader sdk.Reader) []metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.ScopeMetrics) == 0 {
		return nil
	}
	return all.ScopeMetrics[0].Metrics
}

// flat is what the kinds of data have in common.
type flat struct {
	kind   instruments.Kind
	series map[attribute.Set]float64
	bounds []float64
}

func flatten(t testing.TB, data metricdata.Aggregation) flat {
	t.Helper()
	f := flat{series: make(map[attribute.Set]float64)}
	switch data := data.(type) {
	case metricdata.Sum[float64]:
		f.kind = instruments.UpDownCounter
		if data.IsMonotonic {
			f.kind = instruments.Counter
		}
		for _, p := range data.DataPoints {
			f.series[p.Attributes] = p.Value
		}
	case metricdata.Gauge[float64]:
		f.kind = instruments.Gauge
		for _, p := range data.DataPoints {
			f.series[p.Attributes] = p.Value
		}
	case metricdata.Histogram[float64]:
		f.kind = instruments.Histogram
		for _, p := range data.DataPoints {
			f.series[p.Attributes] = float64(p.Count)
			f.bounds = p.Bounds
		}
	default:
		t.Fatalf("the data is a %T", data)
	}
	return f
}

func register(t testing.TB, ctl *core.Controller) (sdk.Reader, func() error) {
	t.Helper()
	reader := sdk.NewManualReader()
	registration, err := oteladapter.Register(ctl, oteladapter.MeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader))))
	if err != nil {
		t.Fatal(err)
	}
	return reader, registration.Unregister
}

func TestTheInstrumentsAreWhatTheTableSays(t *testing.T) {
	ctl := instrumentstest.Controller(t)
	reader, _ := register(t, ctl)
	instrumentstest.Use(t, ctl)
	clienttest.Eventually(t, "the histograms have two connections", func() bool {
		for _, m := range collect(t, reader) {
			if m.Name == "politeclose.connection.requests" {
				return flatten(t, m.Data).series[*attribute.EmptySet()] == 2
			}
		}
		return false
	})
	metrics := collect(t, reader)
	if len(metrics) != len(instruments.All) {
		t.Errorf("%d metrics, the table has %d", len(metrics), len(instruments.All))
	}
	for _, m := range metrics {
		t.Run(m.Name, func(t *testing.T) {
			i := instrumentstest.Find(t, func(i instruments.Instrument) bool { return i.OpenTelemetryName() == m.Name })
			data := flatten(t, m.Data)
			if data.kind != i.Kind || m.Description != i.Help || m.Unit != i.Unit || len(data.bounds) != len(i.Buckets) {
				t.Errorf("a %s of %q with %d buckets: %q; want a %s of %q with %d: %q",
					data.kind, m.Unit, len(data.bounds), m.Description, i.Kind, i.Unit, len(i.Buckets), i.Help)
			}
			want := maps.Clone(instrumentstest.Values[i.Name])
			for attributes, value := range data.series {
				var values []string
				for _, label := range i.Labels {
					v, found := attributes.Value(attribute.Key(label.Attribute))
					if !found || attributes.Len() != len(i.Labels) {
						t.Fatalf("the attributes are %v, want %v", attributes.ToSlice(), i.Labels)
					}
					values = append(values, v.AsString())
				}
				series := strings.Join(values, " ")
				if want, given := want[series]; given && value != want {
					t.Errorf("{%s} is %v, want %v", series, value, want)
				}
				delete(want, series)
			}
			if len(want) > 0 {
				t.Errorf("missing: %v", want)
			}
		})
	}
}

func TestUnregisterEndsAllOfIt(t *testing.T) {
	ctl := instrumentstest.Controller(t)
	reader, unregister := register(t, ctl)
	for range 2 {
		if err := unregister(); err != nil {
			t.Errorf("Unregister: %v", err)
		}
	}
	instrumentstest.Use(t, ctl)
	ctl.Drained() // waits for observers, if there are any
	if metrics := collect(t, reader); len(metrics) != 0 {
		t.Errorf("there are still %v", metrics)
	}
}

func TestTwoControllersOfOneProviderAreToldApartByAttributes(t *testing.T) {
	reader := sdk.NewManualReader()
	provider := oteladapter.MeterProvider(sdk.NewMeterProvider(sdk.WithReader(reader)))
	const key, taken = "server", "of the program's own"
	for _, name := range []string{"public", "internal"} {
		ctl := instrumentstest.Controller(t)
		common := oteladapter.Attributes(attribute.String(key, name), attribute.String("politeclose.how", taken))
		registration, err := oteladapter.Register(ctl, provider, common)
		if err != nil {
			t.Fatal(err)
		}
		defer registration.Unregister()
		if name == "public" {
			instrumentstest.Use(t, ctl)
			ctl.Drained() // waits for observers
		}
	}
	for _, m := range collect(t, reader) {
		series := flatten(t, m.Data).series
		for attributes := range series {
			if _, found := attributes.Value(key); !found {
				t.Errorf("%s has %v", m.Name, attributes.ToSlice())
			}
			if how, _ := attributes.Value("politeclose.how"); m.Name == "politeclose.connections.ended" && how.AsString() == taken {
				t.Errorf("%s has lost its own attribute: %v", m.Name, attributes.ToSlice())
			}
		}
		if m.Name == "politeclose.draining" && len(series) != 2 {
			t.Errorf("the drain flags of two are %v", series)
		}
	}
}

func TestACollectionCostsLittleHoweverManyConnectionsThereAre(t *testing.T) {
	ctl := instrumentstest.Controller(t)
	reader, _ := register(t, ctl)
	instrumentstest.OpenMany(ctl, instrumentstest.Many)
	took := instrumentstest.Within(t, 10*time.Millisecond, func() { collect(t, reader) })
	t.Logf("a collection takes %v at %d connections", took, instrumentstest.Many)
}

func TestBadArgumentsAreErrorsThatNameThem(t *testing.T) {
	ctl := instrumentstest.Controller(t)
	for _, test := range []struct {
		name string
		ctl  *core.Controller
		opt  oteladapter.Option
		want string
	}{
		{"no Controller", nil, nil, "core.New"},
		{"a nil option", ctl, nil, "option 1 is nil"},
		{"an attribute without a key", ctl, oteladapter.Attributes(attribute.String("", "x")), "Attributes"},
		{"no provider", ctl, oteladapter.MeterProvider(nil), "MeterProvider"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := oteladapter.Register(test.ctl, test.opt); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want one with %q", err, test.want)
			}
		})
	}
}

func ExampleRegister() {
	ctl, err := core.New()
	if err != nil {
		panic(err)
	}
	registration, err := oteladapter.Register(ctl) // with otel.GetMeterProvider()
	if err != nil {
		panic(err)
	}
	defer registration.Unregister()
	// Output:
}
