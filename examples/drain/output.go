package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/politeclose/politeclose/internal/restart"
)

// writeTable is for people: one row per method, and what the columns mean.
func writeTable(w io.Writer, traffic restart.Config, results []restart.Result) error {
	scheme := "cleartext"
	if traffic.TLS {
		scheme = "TLS"
	}
	out := &printer{w: w}
	protocol, neverSent := "HTTP/1.1", func(any) string { return "" }
	if traffic.HTTP2 {
		protocol = fmt.Sprintf("HTTP/2 with %d streams each", traffic.Streams)
		neverSent = func(value any) string { return fmt.Sprintf(" %6v", value) }
	}
	out.printf("%d clients over %s, %s; think time %v, handler time %v",
		traffic.Clients, protocol, scheme, traffic.Think, traffic.Handler)
	if traffic.SlowShare > 0 {
		out.printf(", %v of the requests %v", traffic.SlowShare, traffic.SlowHandler)
	}
	out.printf("\n\n")
	const columns = "%-12s %8v | %9v %9v %6v %12v%s | %9v %9v %7v %9v | %8v %8v\n"
	out.printf(columns, "", "", "clients", "", "", "lost", neverSent("never"),
		"servers", "", "lost", "lost", "drain", "drain")
	out.printf(columns, "method", "restarts", "requests", "answered", "lost", "per restart", neverSent("sent"),
		"reached", "finished", "unseen", "executed", "median", "worst")
	for _, r := range results {
		out.printf(columns, r.Method, r.Restarts,
			r.Requests, r.Answered, r.Lost, fmt.Sprintf("%.1f", r.LostPerRestart()), neverSent(r.NeverSent),
			r.Reached, r.Finished, r.LostUnseen, r.LostExecuted,
			rounded(r.DrainMedian()), rounded(r.DrainWorst()))
	}
	out.printf("\nA lost request was sent and got no answer, and a client must not repeat a POST: an unseen one never\n" +
		"reached a handler, an executed one did its work unheard. Requests = answered + unseen + executed")
	if traffic.HTTP2 {
		out.printf(" + never sent.\n" +
			"A request that was never sent waited for its turn on a connection that was told to end, and Go's client\n" +
			"fails such a one (go.dev/issue/62450): no header, no body and no handler has seen it. Send it again")
	}
	out.printf(".\n")
	for _, r := range results {
		switch {
		case r.Method != polite:
		case r.Lost == 0:
			out.printf("politeclose lost none: each connection is told %s, and closed only then.\n", announcement(traffic))
		default:
			out.printf("politeclose lost %d, and should lose none.\n", r.Lost)
		}
	}
	return out.err
}

func announcement(traffic restart.Config) string {
	if traffic.HTTP2 {
		return "by a GOAWAY that accepts all that is on its way"
	}
	return "so on its last response"
}

func rounded(d time.Duration) string {
	return fmt.Sprintf("%.1fms", milliseconds(d))
}

func milliseconds(d time.Duration) float64 {
	return float64(d) / float64(time.Millisecond)
}

// printer remembers the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// neverSentCounts are what only HTTP/2's results have.
type neverSentCounts struct {
	NeverSent int            `json:"never_sent"`
	Causes    map[string]int `json:"never_sent_causes"`
}

// writeJSON is for programs.
func writeJSON(w io.Writer, traffic restart.Config, results []restart.Result) error {
	type result struct {
		Method         string         `json:"method"`
		Restarts       int            `json:"restarts"`
		Requests       int            `json:"requests"`
		Answered       int            `json:"answered"`
		Lost           int            `json:"lost"`
		LostPerRestart float64        `json:"lost_per_restart"`
		LostUnseen     int            `json:"lost_unseen"`
		LostExecuted   int            `json:"lost_executed"`
		LostCauses     map[string]int `json:"lost_causes"`
		*neverSentCounts
		Reached     int     `json:"server_reached"`
		Finished    int     `json:"server_finished"`
		Abandoned   int     `json:"server_abandoned"`
		DrainMedian float64 `json:"drain_median_ms"`
		DrainWorst  float64 `json:"drain_worst_ms"`
	}
	document := struct {
		Clients   int      `json:"clients"`
		Think     float64  `json:"think_ms"`
		Handler   float64  `json:"handler_ms"`
		SlowShare float64  `json:"slow_share"`
		Slow      float64  `json:"slow_handler_ms"`
		TLS       bool     `json:"tls"`
		HTTP2     bool     `json:"http2,omitempty"`
		Streams   int      `json:"streams,omitempty"`
		Results   []result `json:"results"`
	}{
		traffic.Clients, milliseconds(traffic.Think), milliseconds(traffic.Handler),
		traffic.SlowShare, milliseconds(traffic.SlowHandler), traffic.TLS, traffic.HTTP2, traffic.Streams, nil,
	}
	for _, r := range results {
		var unsent *neverSentCounts
		if traffic.HTTP2 {
			unsent = &neverSentCounts{r.NeverSent, r.NeverSentCauses}
		}
		document.Results = append(document.Results, result{
			r.Method, r.Restarts, r.Requests, r.Answered, r.Lost, r.LostPerRestart(), r.LostUnseen, r.LostExecuted,
			r.Causes, unsent, r.Reached, r.Finished, r.Abandoned, milliseconds(r.DrainMedian()), milliseconds(r.DrainWorst()),
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
