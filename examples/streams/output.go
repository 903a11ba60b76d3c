package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// writeTable is for people: what each kind of client saw under each method, and
// what the columns mean.
func writeTable(w io.Writer, s settings, results []result) error {
	out := &printer{w: w}
	out.printf("A message every %v on every stream; a drain cuts what is left after %v\n\n", s.Every, s.Timeout)
	const columns = "%-17s %8v | %7v %6v %6v %6v | %8v %6v %7v | %6v %8v %8v\n"
	out.printf(columns, "", "", "", "", "", "", "", "", "", "", "drain", "drain")
	out.printf(columns, "method", "restarts", "streams", "opened", "told", "cut", "messages", "lost", "doubled", "forced", "median", "worst")
	for _, r := range results {
		line := func(name string, c counts, restarts, forced, median, worst any) {
			out.printf(columns, name, restarts, c.Streams, c.Opened, c.Told, c.Cut, c.Messages, c.Lost, c.Doubled, forced, median, worst)
		}
		line(r.method, r.total(), len(r.drains), r.forced, rounded(r.drainMedian()), rounded(r.drainWorst()))
		for _, c := range r.clients {
			line("  "+c.Kind, c, "", "", "", "")
		}
	}
	out.printf("\nA stream that ends is opened again: told, where the server had said that it leaves, or cut. Lost are events\n" +
		"never seen, and WebSocket messages sent and not answered. Last-Event-ID brings back the events that a cut\n" +
		"stream missed; nothing brings back such an answer. Forced are connections cut by the server at its end.\n")
	if missing := missing(results); len(missing) > 0 {
		out.printf("Not asked for, or not in a Node here: %s.\n", strings.Join(missing, ", "))
	}
	for _, r := range results {
		if r.method == polite && r.failed() {
			out.printf("politeclose lost, doubled or cut some, and should not.\n")
		} else if r.method == polite {
			out.printf("politeclose lost and cut none: every stream was told, and came again by itself.\n")
		}
	}
	return out.err
}

// missing names the clients of Node's that took no part.
func missing(results []result) (kinds []string) {
	for _, kind := range []string{"Node fetch", "Node EventSource", "Node WebSocket"} {
		ofKind := func(c counts) bool { return c.Kind == kind }
		if !slices.ContainsFunc(results, func(r result) bool { return slices.ContainsFunc(r.clients, ofKind) }) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func rounded(d time.Duration) string { return fmt.Sprintf("%.1fms", inMilliseconds(d)) }

func inMilliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

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

// writeJSON is for programs.
func writeJSON(w io.Writer, s settings, results []result) error {
	type entry struct {
		Method   string `json:"method"`
		Restarts int    `json:"restarts"`
		counts
		Forced      int      `json:"forced"`
		DrainMedian float64  `json:"drain_median_ms"`
		DrainWorst  float64  `json:"drain_worst_ms"`
		Clients     []counts `json:"clients"`
	}
	document := struct {
		Every   float64 `json:"every_ms"`
		Timeout float64 `json:"timeout_ms"`
		Results []entry `json:"results"`
	}{inMilliseconds(s.Every), inMilliseconds(s.Timeout), nil}
	for _, r := range results {
		document.Results = append(document.Results, entry{
			r.method, len(r.drains), r.total(), r.forced,
			inMilliseconds(r.drainMedian()), inMilliseconds(r.drainWorst()), r.clients,
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}
