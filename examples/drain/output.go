package main

import (
	"fmt"
	"io"

	"github.com/politeclose/politeclose/internal/demonstration"
	"github.com/politeclose/politeclose/internal/restart"
)

// writeTable is for people: one row per method, and what the columns mean.
func writeTable(w io.Writer, traffic restart.Config, results []restart.Result) error {
	scheme := "cleartext"
	if traffic.TLS {
		scheme = "TLS"
	}
	out := &demonstration.Printer{W: w}
	protocol := "HTTP/1.1"
	if traffic.HTTP2 {
		protocol = fmt.Sprintf("HTTP/2 with %d streams each", traffic.Streams)
	}
	out.Printf("%d clients over %s, %s;\nthink time %v, handler time %v",
		traffic.Clients, protocol, scheme, traffic.Think, traffic.Handler)
	if traffic.SlowShare > 0 {
		out.Printf(", %v of the requests %v", traffic.SlowShare, traffic.SlowHandler)
	}
	out.Printf("\n\n")
	const columns = "%-11s %8v | %8v %4v %7v | %6v %8v | %7v %7v\n"
	out.Printf(columns, "", "", "", "", "per", "", "", "drain", "drain")
	out.Printf(columns, "method", "restarts", "requests", "lost", "restart", "unseen", "executed", "median", "worst")
	for _, r := range results {
		out.Printf(columns, r.Method, r.Restarts,
			r.Requests, r.Lost, fmt.Sprintf("%.1f", r.LostPerRestart()), r.LostUnseen, r.LostExecuted,
			demonstration.Rounded(r.DrainMedian()), demonstration.Rounded(r.DrainWorst()))
	}
	out.Printf("\nA lost request was sent and got no answer, and a client must not repeat a POST:\n" +
		"an unseen one reached no handler, an executed one did its work unheard.\n")
	if traffic.HTTP2 {
		for _, r := range results {
			out.Printf("With %s %d were never sent.\n", r.Method, r.NeverSent)
		}
		out.Printf("Such a request waited for its turn on a connection that was told to end, and\n" +
			"Go's client fails it (go.dev/issue/62450). No handler saw it: send it again.\n")
	}
	for _, r := range results {
		switch {
		case r.Method != polite:
		case r.Lost == 0:
			out.Printf("politeclose lost none: each connection is told\n%s, and closed only then.\n", announcement(traffic))
		default:
			out.Printf("politeclose lost %d, and should lose none.\n", r.Lost)
		}
	}
	return out.Err
}

func announcement(traffic restart.Config) string {
	if traffic.HTTP2 {
		return "by a GOAWAY that accepts all that is on its way"
	}
	return "so on its last response"
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
		traffic.Clients, demonstration.Milliseconds(traffic.Think), demonstration.Milliseconds(traffic.Handler),
		traffic.SlowShare, demonstration.Milliseconds(traffic.SlowHandler), traffic.TLS, traffic.HTTP2, traffic.Streams, nil,
	}
	for _, r := range results {
		var unsent *neverSentCounts
		if traffic.HTTP2 {
			unsent = &neverSentCounts{r.NeverSent, r.NeverSentCauses}
		}
		document.Results = append(document.Results, result{
			r.Method, r.Restarts, r.Requests, r.Answered, r.Lost, r.LostPerRestart(), r.LostUnseen, r.LostExecuted,
			r.Causes, unsent, r.Reached, r.Finished, r.Abandoned, demonstration.Milliseconds(r.DrainMedian()), demonstration.Milliseconds(r.DrainWorst()),
		})
	}
	return demonstration.WriteJSON(w, document)
}
