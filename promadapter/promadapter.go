// Package promadapter gives the metrics of a politeclose Controller to Prometheus.
package promadapter

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/instruments"
)

// NewCollector returns a collector of the metrics of ctl, whose names begin with
// politeclose_; docs/observing.md has all of them. Register it once:
//
//	prometheus.MustRegister(promadapter.NewCollector(ctl))
//
// A scrape reads [core.Controller.Stats], which takes microseconds however many
// connections there are. The histograms are made from events from now on, as an
// observer of ctl, and lack those that [core.Stats.EventsDropped] counts. What a
// client sends is the value of no label, so that the series are few. Collectors of
// several Controllers need a label of their own each: see
// [prometheus.WrapRegistererWith]. The collector of a nil Controller collects
// nothing. It is safe for concurrent use.
func NewCollector(ctl *core.Controller) prometheus.Collector {
	c := new(collector)
	if ctl == nil {
		return c
	}
	c.stats = ctl.Stats
	for _, i := range instruments.All {
		if i.Kind == instruments.Histogram {
			c.observe(ctl, i)
			continue
		}
		desc := prometheus.NewDesc(i.PrometheusName(), i.Help, i.PrometheusLabels(), nil)
		c.readings = append(c.readings, reading{desc, valueType(i.Kind), i.Read})
	}
	return c
}

type collector struct {
	stats      func() core.Stats
	readings   []reading
	histograms []*prometheus.HistogramVec
}

// reading is a metric that is read when it is scraped.
type reading struct {
	*prometheus.Desc
	prometheus.ValueType
	read func(core.Stats, instruments.Emit)
}

func valueType(kind instruments.Kind) prometheus.ValueType {
	if kind == instruments.Counter {
		return prometheus.CounterValue
	}
	return prometheus.GaugeValue
}

func (c *collector) observe(ctl *core.Controller, i instruments.Instrument) {
	histogram := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: i.PrometheusName(), Help: i.Help, Buckets: i.Buckets,
	}, i.PrometheusLabels())
	c.histograms = append(c.histograms, histogram)
	ctl.Observe(func(e core.Event) {
		i.Tell(e, func(value float64, labels ...string) {
			histogram.WithLabelValues(labels...).Observe(value)
		})
	})
}

// Describe implements [prometheus.Collector].
func (c *collector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, r := range c.readings {
		descriptions <- r.Desc
	}
	for _, h := range c.histograms {
		h.Describe(descriptions)
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	if c.stats == nil {
		return
	}
	stats := c.stats()
	for _, r := range c.readings {
		r.read(stats, func(value float64, labels ...string) {
			metrics <- prometheus.MustNewConstMetric(r.Desc, r.ValueType, value, labels...)
		})
	}
	for _, h := range c.histograms {
		h.Collect(metrics)
	}
}
