package main

import (
	"fmt"
	"time"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/overload"
)

// printer prints a table that grows by a line every second, or JSON at the end.
type printer struct {
	demonstration.Printer
	settings settings
	results  []overload.Result
}

// start says what is about to be seen.
func (p *printer) start() {
	s := p.settings
	switch {
	case s.json:
	case s.alone:
		p.Printf("One TLS server that computes, %d clients without a pause that come back to it\nwhen it closes.\n", s.Clients)
	default:
		balancer := "the built-in balancer"
		if s.HAProxy != "" {
			balancer = "HAProxy in tcp mode"
		}
		p.Printf("Three replicas behind %s (%s),\n%d of them with a tenth of the others' %d workers of %v a request.\n"+
			"%d clients on keep-alive connections, think time %v.\nLoad is from %d to %d requests in flight on a replica.\n",
			balancer, s.Balancing, s.Slow, s.Workers, s.Service, s.Clients, s.Think, s.Soft, s.Hard)
	}
}

// rule begins the table of one rule.
func (p *printer) rule(cfg *overload.Config) {
	if p.settings.json {
		return
	}
	p.Printf("\nrule: %s\n%6s", cfg.Rule.Name, "second")
	replicas := overload.Replicas
	if p.settings.alone {
		replicas = 1
	}
	for i := range replicas {
		name := fmt.Sprintf("replica %d", i)
		if !p.settings.alone && i >= replicas-cfg.Slow {
			name += ", slow"
		}
		p.Printf(" | %-17s", name)
	}
	p.Printf(" | new\n%6s", "")
	for range replicas {
		p.Printf(" | %4s %5s %6s", "open", "req/s", "p99")
	}
	p.Printf(" | %4s %5s\n", "made", "shut")
	cfg.Progress = p.second
}

func (p *printer) second(s overload.Second) {
	p.Printf("%6d", s.Number)
	for _, r := range s.Replicas {
		p.Printf(" | %4d %5d %6.0f", r.Connections, r.Requests, demonstration.Milliseconds(r.Latency.P99))
	}
	p.Printf(" | %4d %5d\n", s.Dials, s.Closes)
}

// end prints the results side by side.
func (p *printer) end() error {
	if p.settings.json {
		return p.writeJSON()
	}
	const columns = "%-11s %7v | %7v %7v | %5v %9v | %6v %7v %5v\n"
	p.Printf("\n"+columns, "", "", "last", "third", "conns", "mean", "closes", "last", "held")
	p.Printf(columns, "rule", "req/s", "p50", "p99", "made", "handshake", "in all", "third/s", "back")
	for _, r := range p.results {
		s := summarize(r, p.results[0])
		p.Printf(columns, r.Rule, fmt.Sprintf("%.1f", s.PerSecond),
			demonstration.Rounded(r.LastThird.P50), demonstration.Rounded(r.LastThird.P99),
			r.Dials, demonstration.Rounded(s.MeanDial), r.Closes, fmt.Sprintf("%.2f", s.ClosesLate), r.HeldBack)
	}
	for _, r := range p.results {
		if r.Lost > 0 {
			p.Printf("%s lost %d requests, one to: %s\n", r.Rule, r.Lost, r.LostTo)
		}
	}
	p.Printf("\nLatency is from sending a request to having its whole answer, a new connection\n" +
		"included where one was needed; p99 is in milliseconds above. Closes are the\n" +
		"connections that the rule ended.\n")
	return p.Err
}

// summary is what follows from a result.
type summary struct {
	PerSecond       float64
	ThroughputRatio float64
	P99Ratio        float64
	MeanDial        time.Duration
	ClosesLate      float64 // per second in the last third
}

func summarize(r, first overload.Result) (s summary) {
	perSecond := func(r overload.Result) float64 { return ratio(float64(r.Requests), float64(len(r.Seconds))) }
	s.PerSecond = perSecond(r)
	s.ThroughputRatio = ratio(s.PerSecond, perSecond(first))
	s.P99Ratio = ratio(float64(r.LastThird.P99), float64(first.LastThird.P99))
	s.MeanDial = time.Duration(ratio(float64(r.DialTime), float64(r.Dials)))
	late := r.Seconds[len(r.Seconds)-len(r.Seconds)/3:]
	closes := 0
	for _, second := range late {
		closes += second.Closes
	}
	s.ClosesLate = ratio(float64(closes), float64(len(late)))
	return s
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (p *printer) writeJSON() error {
	type replica struct {
		Connections int     `json:"connections"`
		Requests    int     `json:"requests"`
		P50         float64 `json:"p50_ms"`
		P99         float64 `json:"p99_ms"`
	}
	type second struct {
		Second   int       `json:"second"`
		Replicas []replica `json:"replicas"`
		Dials    int       `json:"connections_made"`
		Closes   int       `json:"closes"`
	}
	type result struct {
		Rule            string   `json:"rule"`
		Requests        int      `json:"requests"`
		PerSecond       float64  `json:"requests_per_second"`
		ThroughputRatio float64  `json:"throughput_ratio"`
		Lost            int      `json:"lost"`
		P50             float64  `json:"last_third_p50_ms"`
		P99             float64  `json:"last_third_p99_ms"`
		P99Ratio        float64  `json:"last_third_p99_ratio"`
		Dials           int      `json:"connections_made"`
		MeanDial        float64  `json:"mean_handshake_ms"`
		Closes          int      `json:"closes"`
		ClosesLate      float64  `json:"last_third_closes_per_second"`
		HeldBack        uint64   `json:"held_back"`
		Seconds         []second `json:"seconds"`
	}
	s := p.settings
	document := struct {
		Clients   int      `json:"clients"`
		Think     float64  `json:"think_ms"`
		Service   float64  `json:"service_ms"`
		Workers   int      `json:"workers"`
		Slow      int      `json:"slow_replicas"`
		Balancing string   `json:"balancing"`
		HAProxy   bool     `json:"haproxy"`
		TLS       bool     `json:"tls"`
		Alone     bool     `json:"alone"`
		Soft      int      `json:"soft"`
		Hard      int      `json:"hard"`
		Results   []result `json:"results"`
	}{
		s.Clients, demonstration.Milliseconds(s.Think), demonstration.Milliseconds(s.Service), s.Workers, s.Slow,
		s.Balancing, s.HAProxy != "", s.TLS, s.alone, s.Soft, s.Hard, nil,
	}
	for _, r := range p.results {
		sum := summarize(r, p.results[0])
		row := result{
			r.Rule, r.Requests, sum.PerSecond, sum.ThroughputRatio, r.Lost,
			demonstration.Milliseconds(r.LastThird.P50), demonstration.Milliseconds(r.LastThird.P99), sum.P99Ratio,
			r.Dials, demonstration.Milliseconds(sum.MeanDial), r.Closes, sum.ClosesLate, r.HeldBack, nil,
		}
		for _, s := range r.Seconds {
			line := second{s.Number, nil, s.Dials, s.Closes}
			for _, r := range s.Replicas {
				line.Replicas = append(line.Replicas, replica{r.Connections, r.Requests, demonstration.Milliseconds(r.Latency.P50), demonstration.Milliseconds(r.Latency.P99)})
			}
			row.Seconds = append(row.Seconds, line)
		}
		document.Results = append(document.Results, row)
	}
	return demonstration.WriteJSON(p.W, document)
}
