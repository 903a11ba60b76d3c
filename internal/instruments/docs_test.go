package instruments

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The table of the documentation is written for people, and this holds it to the
// one that the adapters are made from.
func TestTheDocumentationHasEachMetricWithItsQuestion(t *testing.T) {
	text, err := os.ReadFile("../../docs/observing.md")
	if err != nil {
		t.Fatal(err)
	}
	types := map[Kind]string{Counter: "counter", UpDownCounter: "gauge", Gauge: "gauge", Histogram: "histogram"}
	for _, i := range All {
		labels := strings.Join(i.PrometheusLabels(), "`, `")
		if labels != "" {
			labels = "`" + labels + "` "
		}
		row := fmt.Sprintf("\n| `%s` | %s | %s| ", i.PrometheusName(), types[i.Kind], labels)
		_, question, found := strings.Cut(string(text), row)
		question, _, _ = strings.Cut(question, "\n")
		if !found || !strings.Contains(question, "?") {
			t.Errorf("there is no row %swith a question: %q", row, question)
		}
	}
	if rows := strings.Count(string(text), "\n| `politeclose_"); rows != len(All) {
		t.Errorf("%d rows, %d metrics", rows, len(All))
	}
}

func TestNamesAreThoseOfTheirKind(t *testing.T) {
	seen := make(map[string]bool)
	for _, i := range All {
		name := i.PrometheusName()
		if seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[name] = true
		if (i.Read == nil) == (i.Tell == nil) || (i.Tell != nil) != (i.Kind == Histogram) || (i.Buckets != nil) != (i.Kind == Histogram) {
			t.Errorf("%s has to be read, or told and have buckets", name)
		}
		if !strings.HasSuffix(i.Help, ".") {
			t.Errorf("the help of %s is no sentence: %q", name, i.Help)
		}
		for _, label := range i.Labels {
			if label.Bound == "" {
				t.Errorf("nobody knows how many values the label %s of %s has", label.Name, name)
			}
		}
	}
}
