// Package oteladapter gives the metrics of a politeclose Controller to
// OpenTelemetry.
package oteladapter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/instruments"
)

// Option configures [Register].
type Option func(*config) error

type config struct {
	provider metric.MeterProvider
	common   []attribute.KeyValue
}

// MeterProvider sets where the instruments are made. The default is
// [otel.GetMeterProvider]. A nil provider is an error.
func MeterProvider(provider metric.MeterProvider) Option {
	return func(c *config) error {
		if provider == nil {
			return errors.New("MeterProvider: the provider is nil; leave the option out for the global one")
		}
		c.provider = provider
		return nil
	}
}

// Attributes adds attributes to everything that is measured, so that several
// Controllers of one provider can be told apart. One that is not valid is an error,
// and one with a key of the instruments' own has no effect there.
func Attributes(common ...attribute.KeyValue) Option {
	return func(c *config) error {
		for _, one := range common {
			if !one.Valid() {
				return fmt.Errorf("Attributes: %q=%q is not allowed; it must have a key and a value", one.Key, one.Value.String())
			}
		}
		c.common = slices.Clone(common)
		return nil
	}
}

// Register makes the instruments of ctl, whose names begin with politeclose.;
// docs/observing.md has all of them. Call it once for a Controller.
//
// A collection reads [core.Controller.Stats], which takes microseconds however
// many connections there are. The histograms are recorded from events from now on,
// by an observer of ctl, and lack those that [core.Stats.EventsDropped] counts.
// What a client sends is the value of no attribute, so that the series are few.
// Several Controllers of one provider need [Attributes] of their own each: without
// them their counts are added up, and of each gauge one value is left.
//
// The registration's Unregister ends all of it, and may be called again. The
// error is a bad option, a nil Controller, or what the provider does not allow.
func Register(ctl *core.Controller, opts ...Option) (metric.Registration, error) {
	r, err := register(ctl, opts)
	if err != nil {
		return nil, fmt.Errorf("politeclose: oteladapter.Register: %w", err)
	}
	return r, nil
}

const scope = "github.com/politeclose/politeclose/oteladapter"

func register(ctl *core.Controller, opts []Option) (metric.Registration, error) {
	if ctl == nil {
		return nil, errors.New("the Controller is nil; make one with core.New")
	}
	c := &config{provider: otel.GetMeterProvider()}
	for n, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("option %d is nil; leave it out", n+1)
		}
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	meter := c.provider.Meter(scope)
	var readings []reading
	var recordings []recording
	for _, i := range instruments.All {
		if i.Kind == instruments.Histogram {
			histogram, err := meter.Float64Histogram(i.OpenTelemetryName(),
				metric.WithDescription(i.Help), metric.WithUnit(i.Unit), metric.WithExplicitBucketBoundaries(i.Buckets...))
			if err != nil {
				return nil, err
			}
			recordings = append(recordings, recording{i, c.common, histogram})
			continue
		}
		observable, err := newObservable(meter, i)
		if err != nil {
			return nil, err
		}
		readings = append(readings, reading{i, c.common, observable})
	}
	callback, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := ctl.Stats()
		for _, r := range readings {
			r.read(stats, o)
		}
		return nil
	}, observables(readings)...)
	if err != nil {
		return nil, err
	}
	return &registration{Registration: callback, stop: ctl.Observe(func(e core.Event) {
		for _, r := range recordings {
			r.tell(e)
		}
	})}, nil
}

// registration ends the observer, too.
type registration struct {
	metric.Registration
	stop func()
}

func (r *registration) Unregister() error {
	r.stop()
	return r.Registration.Unregister()
}

// reading is an instrument that is read when it is collected.
type reading struct {
	instruments.Instrument
	common     []attribute.KeyValue
	observable metric.Float64Observable
}

func newObservable(meter metric.Meter, i instruments.Instrument) (metric.Float64Observable, error) {
	name, help, unit := i.OpenTelemetryName(), metric.WithDescription(i.Help), metric.WithUnit(i.Unit)
	switch i.Kind {
	case instruments.Counter:
		return meter.Float64ObservableCounter(name, help, unit)
	case instruments.UpDownCounter:
		return meter.Float64ObservableUpDownCounter(name, help, unit)
	}
	return meter.Float64ObservableGauge(name, help, unit)
}

func observables(readings []reading) (all []metric.Observable) {
	for _, r := range readings {
		all = append(all, r.observable)
	}
	return all
}

func (r reading) read(stats core.Stats, o metric.Observer) {
	r.Read(stats, func(value float64, labels ...string) {
		o.ObserveFloat64(r.observable, value, metric.WithAttributes(attributes(r.common, r.Labels, labels)...))
	})
}

// recording is a histogram that events are recorded in.
type recording struct {
	instruments.Instrument
	common    []attribute.KeyValue
	histogram metric.Float64Histogram
}

func (r recording) tell(e core.Event) {
	r.Tell(e, func(value float64, labels ...string) {
		r.histogram.Record(context.Background(), value, metric.WithAttributes(attributes(r.common, r.Labels, labels)...))
	})
}

// attributes are the common ones and those of a series, which count where both
// have a key.
func attributes(common []attribute.KeyValue, labels []instruments.Label, values []string) []attribute.KeyValue {
	pairs := slices.Clone(common)
	for n, label := range labels {
		pairs = append(pairs, attribute.String(label.Attribute, values[n]))
	}
	return pairs
}
