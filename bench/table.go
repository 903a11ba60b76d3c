package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// table is a Markdown table whose columns but the first are numbers.
type table struct{ text strings.Builder }

func newTable(columns ...string) *table {
	t := new(table)
	t.row(columns...)
	t.text.WriteString("| ---" + strings.Repeat(" | ---:", len(columns)-1) + " |\n")
	return t
}

func (t *table) row(cells ...string) {
	t.text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func (t *table) String() string { return t.text.String() }

func nanoseconds(ns float64) string { return fmt.Sprintf("%.0f ns", ns) }

// ratio is empty where the base is 0.
func ratio(r float64) string {
	if math.IsNaN(r) || math.IsInf(r, 0) {
		return ""
	}
	return fmt.Sprintf("%.2f", r)
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func precise(r float64) string { return fmt.Sprintf("%.3f", r) }
