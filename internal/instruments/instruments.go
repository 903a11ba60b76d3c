// Package instruments says which metrics there are of a Controller: their names,
// kinds, units, labels and help, and how each is read. The adapters of metrics
// libraries are made from it, and so is the table in docs/observing.md.
package instruments

import (
	"strings"

	"github.com/politeclose/politeclose/core"
)

// Kind is a kind of instrument as OpenTelemetry has it.
type Kind string

// The kinds of instruments.
const (
	Counter       Kind = "counter"         // only grows
	UpDownCounter Kind = "up-down counter" // a number of things now, which adds up over replicas; a gauge to Prometheus
	Gauge         Kind = "gauge"           // a value now that does not add up
	Histogram     Kind = "histogram"
)

// Emit takes a value with the values of the instrument's labels, in their order.
type Emit func(value float64, labels ...string)

// Instrument is one metric. It has either Read or Tell.
type Instrument struct {
	Name    string // OpenTelemetry's, without the namespace
	Kind    Kind
	Unit    string // of UCUM; in braces what is counted, and empty where that differs from one series to another
	Help    string
	Labels  []Label
	Buckets []float64 // of a histogram: the upper bounds

	Read func(core.Stats, Emit) // emits what a snapshot says
	Tell func(core.Event, Emit) // emits what an event says; most say nothing
}

const namespace = "politeclose"

// OpenTelemetryName is the name with dots.
func (i Instrument) OpenTelemetryName() string { return namespace + "." + i.Name }

// PrometheusName is the name with underscores, and with the suffixes for the unit
// and for counters.
func (i Instrument) PrometheusName() string {
	name := namespace + "_" + strings.ReplaceAll(i.Name, ".", "_")
	switch i.Unit {
	case "s":
		name += "_seconds"
	case "1":
		name += "_ratio"
	}
	if i.Kind == Counter {
		name += "_total"
	}
	return name
}

// PrometheusLabels are the names of the labels.
func (i Instrument) PrometheusLabels() []string {
	names := make([]string, len(i.Labels))
	for n, label := range i.Labels {
		names[n] = label.Name
	}
	return names
}

// Label is a label of an instrument.
type Label struct {
	Name      string // Prometheus's
	Attribute string // OpenTelemetry's attribute key
	Bound     string // why it has few values
}

// own is a label for which OpenTelemetry's semantic conventions have no key.
func own(name, bound string) Label { return Label{name, namespace + "." + name, bound} }

var (
	state    = Label{"state", "http.connection.state", "idle, active and hijacked"}
	protocol = Label{"protocol", "network.protocol.version", "1.0, 1.1, 2, 3 and unknown"}
	reason   = own("reason", "those of core and those that OnMatch declares; no other is counted")
	how      = own("how", "client, announced, idle, forced, error, handler and unknown")
	by       = own("by", "budget and restraint")
	phase    = own("phase", "announcing, waiting and drained")
	signal   = own("signal", "those of OnLoad")
	level    = own("level", "soft and hard")
	option   = own("option", "OnRoutes and Exempt")
	pattern  = own("pattern", "those that the two options were given")
)
