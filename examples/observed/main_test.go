package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/stdlib"
)

// program is serve under way, with what it logs.
type program struct {
	t             *testing.T
	public, admin string // addresses
	drain         context.CancelFunc
	drained       chan struct{} // closed when the drain is over, and the operators' server still there
	end           chan struct{} // to be closed then
	done          chan error

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *program) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(line)
}

// lines returns the lines with this message.
func (p *program) lines(message string) (lines []map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(p.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			p.t.Fatalf("the log has %q", line)
		}
		if fields["msg"] == message {
			lines = append(lines, fields)
		}
	}
	return lines
}

func start(t *testing.T, opts ...stdlib.ServeOption) *program {
	t.Helper()
	ctx, drain := context.WithCancel(context.Background())
	p := &program{t: t, drain: drain, drained: make(chan struct{}), end: make(chan struct{}), done: make(chan error, 1)}
	go func() {
		p.done <- serve(ctx, "127.0.0.1:0", "127.0.0.1:0", slog.New(slog.NewJSONHandler(p, nil)), func() {
			close(p.drained)
			<-p.end
		}, opts...)
	}()
	t.Cleanup(drain)
	clienttest.Eventually(t, "both servers listen", func() bool {
		for _, line := range p.lines("listening") {
			address := line["address"].(string)
			if line["server"] == "public" {
				p.public = address
			} else {
				p.admin = address
			}
		}
		return p.public != "" && p.admin != ""
	})
	return p
}

// get asks the operators' server.
func (p *program) get(path, accept string) string {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), "GET", "http://"+p.admin+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

func (p *program) stats() (stats core.Stats) {
	p.t.Helper()
	page := struct{ Stats *core.Stats }{&stats}
	if err := json.Unmarshal([]byte(p.get("/", "application/json")), &page); err != nil {
		p.t.Fatal(err)
	}
	return stats
}

// metrics is what Prometheus scrapes, by name.
func (p *program) metrics() map[string]*dto.MetricFamily {
	p.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(p.get("/metrics", "")))
	if err != nil {
		p.t.Fatal(err)
	}
	return families
}

// value is that of a counter's series with this label, or the count of a histogram's.
func value(families map[string]*dto.MetricFamily, name, label string) (sum int) {
	for _, m := range families[name].GetMetric() {
		for _, pair := range m.Label {
			if pair.GetValue() == label {
				sum += int(m.Counter.GetValue()) + int(m.Histogram.GetSampleCount())
			}
		}
	}
	return sum
}

func TestADrainIsTheSameWhereverOneLooks(t *testing.T) {
	differences := clienttest.Undisturbed(t, clienttest.Watched(func() []string { return differencesOfADrain(t) }),
		func(differences []string) bool { return len(differences) > 0 })
	for _, difference := range differences {
		t.Error(difference)
	}
}

// differencesOfADrain drains a server with busy clients, silent ones, and one whose
// request takes longer than the drain.
func differencesOfADrain(t *testing.T) (differences []string) {
	t.Helper()
	differs := func(format string, values ...any) { differences = append(differences, fmt.Sprintf(format, values...)) }
	const busy, silent = 30, 4
	p := start(t, stdlib.IdleGrace(500*time.Millisecond), stdlib.DrainTimeout(1500*time.Millisecond))
	var clients, others []*clienttest.Conn
	for range busy {
		c := clienttest.Dial(t, p.public)
		c.ExpectKept(c.Get("/"))
		clients = append(clients, c)
	}
	for range silent {
		c := clienttest.Dial(t, p.public)
		c.Get("/")
		others = append(others, c)
	}
	cut := clienttest.Dial(t, p.public)
	cut.Send(clienttest.Request("GET", "/report"))
	clienttest.Eventually(t, "one is at work and the others are idle", func() bool {
		s := p.stats()
		return s.Active == 1 && s.Idle == busy+silent
	})

	p.drain()
	clienttest.Eventually(t, "it is not ready", func() bool { return p.get("/readyz", "") == "draining\n" })
	told := 0
	for _, c := range clients {
		c.Send(clienttest.Request("GET", "/"))
		if response, err := c.TryReceive(); err == nil && len(response.Connection) == 1 && response.Connection[0] == "close" {
			told++
		}
		c.Close()
	}
	for _, c := range others {
		c.ExpectEnd()
	}
	clienttest.Receive(t, "the end of the drain", p.drained)

	lines := p.lines("politeclose: the drain has timed out")
	if len(lines) != 1 {
		differs("the log has %d lines about the end of the drain:\n%s", len(lines), p.log.String())
		close(p.end)
		return differences
	}
	report := func(name string) int {
		n, _ := lines[0][name].(float64)
		return int(n)
	}
	if told == 0 || report("announced") != told || report("forced") != 1 {
		differs("%d clients were told; the report is %v", told, lines[0])
	}
	stats, metrics := p.stats(), p.metrics()
	events, requests := make(map[string]int), 0
	for _, line := range p.lines("connection") {
		events[line["event"].(map[string]any)["how"].(string)]++
	}
	for _, line := range p.lines("request") {
		if line["closes"] == "drain" && line["path"] == "/" { // and not the one that was cut
			requests++
		}
	}
	if stats.EventsDropped != 0 {
		differs("%d events were dropped", stats.EventsDropped)
	}
	for _, look := range []struct {
		name                          string
		announced, closedIdle, forced int
	}{
		{"the page", int(stats.Closes[core.ReasonDrain]), int(stats.Ended[core.HowIdle]), int(stats.Ended[core.HowForced])},
		{"the counters", value(metrics, "politeclose_announcements_total", "drain"),
			value(metrics, "politeclose_connections_ended_total", "idle"), value(metrics, "politeclose_connections_ended_total", "forced")},
		{"the histogram", value(metrics, "politeclose_connection_age_seconds", "announced"),
			value(metrics, "politeclose_connection_age_seconds", "idle"), value(metrics, "politeclose_connection_age_seconds", "forced")},
		{"the events in the log", events["announced"], events["idle"], events["forced"]},
		{"the access log", requests, report("closed_idle"), report("forced")},
	} {
		if look.announced != report("announced") || look.closedIdle != report("closed_idle") || look.forced != report("forced") {
			differs("%s: %+v; the report is %v", look.name, look, lines[0])
		}
	}
	if page := p.get("/", "text/html"); !strings.Contains(page, "draining: drained") || p.get("/livez", "") != "live\n" {
		differs("the operators' server does not show the end of the drain")
	}

	close(p.end)
	if err := clienttest.Receive(t, "the end of the program", p.done); !errors.Is(err, stdlib.ErrDrainTimeout) {
		differs("it ends with %v", err)
	}
	return differences
}
