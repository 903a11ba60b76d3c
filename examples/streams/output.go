package main

import (
	"io"
	"slices"
	"strings"

	"github.com/politeclose/politeclose/internal/demonstration"
)

// writeTable is for people: what each kind of client saw under each method, and
// what the columns mean.
func writeTable(w io.Writer, s settings, results []result) error {
	out := &demonstration.Printer{W: w}
	out.Printf("A message every %v on every stream; a drain cuts what is left after %v\n\n", s.Every, s.Timeout)
	const columns = "%-18s | %7v %6v %6v %6v | %8v %6v %7v\n"
	out.Printf(columns, "method", "streams", "opened", "told", "cut", "messages", "lost", "doubled")
	for _, r := range results {
		for _, c := range append([]counts{r.total()}, r.clients...) {
			name := "  " + c.Kind
			if c.Kind == "" {
				name = r.method
			}
			out.Printf(columns, name, c.Streams, c.Opened, c.Told, c.Cut, c.Messages, c.Lost, c.Doubled)
		}
		out.Printf("  %d restarts, %d connections forced; a drain took %s, at worst %s\n", len(r.drains), r.forced,
			demonstration.Rounded(r.drainMedian()), demonstration.Rounded(r.drainWorst()))
	}
	out.Printf("\nA stream that ends is opened again: told, where the server had said that it\n" +
		"leaves, or cut. Lost are events never seen, and WebSocket messages sent and not\n" +
		"answered. Last-Event-ID brings back the events that a cut stream missed; nothing\n" +
		"brings back such an answer. Forced are connections cut by the server at its end.\n")
	if missing := missing(results); len(missing) > 0 {
		out.Printf("Not asked for, or not in this Node:\n%s.\n", strings.Join(missing, ", "))
	}
	for _, r := range results {
		if r.method == polite && r.failed() {
			out.Printf("politeclose lost, doubled or cut some, and should not.\n")
		} else if r.method == polite {
			out.Printf("politeclose lost and cut none: every stream was told, and came again.\n")
		}
	}
	return out.Err
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
	}{demonstration.Milliseconds(s.Every), demonstration.Milliseconds(s.Timeout), nil}
	for _, r := range results {
		document.Results = append(document.Results, entry{
			r.method, len(r.drains), r.total(), r.forced,
			demonstration.Milliseconds(r.drainMedian()), demonstration.Milliseconds(r.drainWorst()), r.clients,
		})
	}
	return demonstration.WriteJSON(w, document)
}
