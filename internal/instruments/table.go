package instruments

import "github.com/politeclose/politeclose/core"

// All are the instruments, in the order in which people read them.
var All = []Instrument{
	{
		Name: "connections", Kind: UpDownCounter, Unit: "{connection}", Labels: []Label{state},
		Help: "Connections that are open, by what they do.",
		Read: func(s core.Stats, emit Emit) {
			emit(float64(s.Idle), "idle")
			emit(float64(s.Active), "active")
			emit(float64(s.Hijacked), "hijacked")
		},
	},
	{
		Name: "connections.opened", Kind: Counter, Unit: "{connection}", Labels: []Label{protocol},
		Help: "Connections that were accepted, counted with their first request or, where none came, at their end.",
		Read: func(s core.Stats, emit Emit) {
			for protocol, n := range s.Opened {
				emit(float64(n), protocol)
			}
		},
	},
	{
		Name: "announcements", Kind: Counter, Unit: "{connection}", Labels: []Label{reason, protocol},
		Help: "Connections whose end was announced to the client, by the rule that asked for it.",
		Read: readAnnouncements,
	},
	{
		Name: "connections.ended", Kind: Counter, Unit: "{connection}", Labels: []Label{how},
		Help: "Connections whose socket is closed, by how they ended.",
		Read: func(s core.Stats, emit Emit) {
			for how, n := range s.Ended {
				emit(float64(n), string(how))
			}
		},
	},
	{
		Name: "held_back", Kind: Counter, Unit: "{close}", Labels: []Label{by},
		Help: "Closes that a rule asked for and that were not allowed then, by what refused them.",
		Read: func(s core.Stats, emit Emit) {
			emit(float64(s.HeldBack-min(s.HeldBack, s.HeldBackByRestraint)), "budget")
			emit(float64(s.HeldBackByRestraint), "restraint")
		},
	},
	{
		Name: "client_closes", Kind: Counter, Unit: "{connection}",
		Help: "Connections of which the client said that it closes them.",
		Read: func(s core.Stats, emit Emit) { emit(float64(s.ClientInitiated)) },
	},
	{
		Name: "input_after_announcement", Kind: Counter, Unit: "{connection}",
		Help: "Connections on which the client still sent something after the announcement.",
		Read: func(s core.Stats, emit Emit) { emit(float64(s.InputAfterAnnounce)) },
	},
	{
		Name: "untracked_exchanges", Kind: Counter, Unit: "{request}",
		Help: "Requests over connections that are not known, for which some rules cannot work.",
		Read: func(s core.Stats, emit Emit) { emit(float64(s.Untracked)) },
	},
	{
		Name: "connection.age", Kind: Histogram, Unit: "s", Labels: []Label{how},
		Help:    "For how long connections were open, by how they ended.",
		Buckets: []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600},
		Tell: func(e core.Event, emit Emit) {
			if e.Kind == core.EventGone {
				emit(e.Age.Seconds(), string(e.How))
			}
		},
	},
	{
		Name: "connection.requests", Kind: Histogram, Unit: "{request}",
		Help:    "How many requests came over a connection.",
		Buckets: []float64{1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5},
		Tell: func(e core.Event, emit Emit) {
			if e.Kind == core.EventGone {
				emit(float64(e.Requests))
			}
		},
	},
	{
		Name: "compliance", Kind: Histogram, Unit: "s", Labels: []Label{protocol},
		Help:    "How long clients took from the announcement to their own end of the connection.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		Tell: func(e core.Event, emit Emit) {
			if e.Compliance > 0 {
				emit(e.Compliance.Seconds(), e.Protocol)
			}
		},
	},
	{
		Name: "draining", Kind: UpDownCounter, Unit: "{drain}",
		Help: "1 while the drain flag is up, 0 while it is not.",
		Read: func(s core.Stats, emit Emit) { emit(one(s.Draining)) },
	},
	{
		Name: "drain.phase", Kind: UpDownCounter, Unit: "{drain}", Labels: []Label{phase},
		Help: "1 for the phase in which the drain is, 0 for the others.",
		Read: func(s core.Stats, emit Emit) {
			for _, phase := range []core.Phase{core.PhaseAnnouncing, core.PhaseWaiting, core.PhaseDrained} {
				emit(one(s.Drain.Phase == phase), string(phase))
			}
		},
	},
	{
		Name: "signal", Kind: Gauge, Labels: []Label{signal},
		Help: "The last value of a load signal, in its own unit; absent while it is unknown.",
		Read: func(s core.Stats, emit Emit) {
			for _, signal := range s.Signals {
				if signal.Known {
					emit(signal.Value, signal.Name)
				}
			}
		},
	},
	{
		Name: "signal.threshold", Kind: Gauge, Labels: []Label{signal, level},
		Help: "Where a load signal begins to close connections, and where it closes most of them.",
		Read: func(s core.Stats, emit Emit) {
			for _, signal := range s.Signals {
				emit(signal.Soft, signal.Name, "soft")
				emit(signal.Hard, signal.Name, "hard")
			}
		},
	},
	{
		Name: "load_share", Kind: Gauge, Unit: "1",
		Help: "The share of the connections that has to go for load.",
		Read: func(s core.Stats, emit Emit) {
			if len(s.Signals) > 0 {
				emit(s.LoadShare)
			}
		},
	},
	{
		Name: "close_limit", Kind: Gauge, Unit: "{close}/s",
		Help: "How many connections per second may be closed for load.",
		Read: func(s core.Stats, emit Emit) {
			if len(s.Signals) > 0 {
				emit(s.LoadRate)
			}
		},
	},
	{
		Name: "fair_share.connections", Kind: Gauge, Unit: "{connection}",
		Help: "How many of the fleet's connections this replica should have; absent while that is not known.",
		Read: func(s core.Stats, emit Emit) {
			if s.FairShare > 0 {
				emit(float64(s.FairShare))
			}
		},
	},
	{
		Name: "pattern.matches", Kind: Counter, Unit: "{request}", Labels: []Label{option, pattern},
		Help: "Requests that a pattern of OnRoutes or Exempt matched; one that stays at 0 may be misspelled.",
		Read: func(s core.Stats, emit Emit) {
			for _, p := range s.Patterns {
				emit(float64(p.Matches), p.Option, p.Pattern)
			}
		},
	},
	{
		Name: "events_dropped", Kind: Counter, Unit: "{event}",
		Help: "Events that observers were too slow for; the histograms lack those.",
		Read: func(s core.Stats, emit Emit) { emit(float64(s.EventsDropped)) },
	},
}

// readAnnouncements emits the two usual protocols from the start, so that the
// first announcement is an increase, and the others once there is something.
func readAnnouncements(s core.Stats, emit Emit) {
	for reason := range s.Closes {
		for protocol := range s.Opened {
			n := s.Announcements[reason][protocol]
			if n > 0 || protocol == "1.1" || protocol == "2" {
				emit(float64(n), string(reason), protocol)
			}
		}
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
