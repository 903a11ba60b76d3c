package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

// deploy is the folder with the files that users copy.
const deploy = "../deploy"

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(name + " is not installed; Debian has it in the package prometheus")
	}
	return path
}

func TestTheAlertRulesAreRight(t *testing.T) {
	promtool := tool(t, "promtool")
	for _, arguments := range [][]string{
		{"check", "rules", "prometheus-rules.yaml"},
		{"test", "rules", "prometheus-rules.test.yaml"},
	} {
		check := exec.CommandContext(t.Context(), promtool, arguments...)
		check.Dir = deploy
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", arguments, err, out)
		}
	}
}

// alertOf finds an alert with its expression, in one line or folded.
var alertOf = regexp.MustCompile(`(?m)^      - alert: (\w+)\n        expr: (?:>-\n((?:          .*\n)+)|(.+)\n)`)

// alerts are the expressions of the rules, by name.
func alerts(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "prometheus-rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	expressions := make(map[string]string)
	for _, found := range alertOf.FindAllStringSubmatch(string(text), -1) {
		expressions[found[1]] = strings.Join(strings.Fields(found[2]+found[3]), " ")
	}
	if want := strings.Count(string(text), "- alert:"); len(expressions) != want {
		t.Fatalf("%d expressions of %d alerts found", len(expressions), want)
	}
	return expressions
}

// panels are the expressions of the dashboard, by the panel's title.
func panels(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	grafana := strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*")
	expressions := make(map[string][]string)
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expressions[panel.Title] = append(expressions[panel.Title], grafana.Replace(target.Expr))
		}
	}
	return expressions
}

// scraper is a real Prometheus that scrapes a program.
type scraper struct {
	t       *testing.T
	address string
}

func scrape(t *testing.T, p *program) *scraper {
	t.Helper()
	binary, folder := tool(t, "prometheus"), t.TempDir()
	rules, err := filepath.Abs(filepath.Join(deploy, "prometheus-rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: app, static_configs: [{targets: [%q]}]}]
`, rules, p.admin)
	if err := os.WriteFile(filepath.Join(folder, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := servertest.FreeAddress(t) // it takes no port 0
	ctx, stop := context.WithCancel(context.Background())
	server := exec.CommandContext(ctx, binary, "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address, "--log.level=error")
	server.Dir, server.Stderr = folder, os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		server.Wait()
	})
	return &scraper{t, address}
}

// ask returns how many series an expression has now.
func (s *scraper) ask(expression string) (series int, err error) {
	response, err := http.Get("http://" + s.address + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		return 0, fmt.Errorf("%s: %s", expression, answer.Error)
	}
	return len(answer.Data.Result), nil
}

// patience is for a Prometheus that has to start on a busy machine, and to scrape
// twice.
const patience = 3 * clienttest.Patience

// has waits until an expression has series.
func (s *scraper) has(expression string) {
	s.t.Helper()
	var failure error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var series int
		if series, failure = s.ask(expression); failure == nil && series > 0 {
			return
		}
	}
	s.t.Errorf("there is nothing in %s (%v)", expression, failure)
}

// selector is a metric of ours with its matchers, as it stands in an expression.
var selector = regexp.MustCompile(`politeclose_\w+(\{[^}]*\})?`)

// absent are the metrics that a program of this kind does not have.
var absent = map[string]bool{"politeclose_fair_share_connections": true}

func TestEachExpressionFindsWhatARealServerExports(t *testing.T) {
	p := start(t)
	server := scrape(t, p)
	client := clienttest.Dial(t, p.public)
	client.Get("/")
	for range 3 {
		told := clienttest.Dial(t, p.public)
		told.ExpectClosed(told.Get("/accounts/1/keys"))
		told.Close()
	}
	server.has(`politeclose_compliance_seconds_count`)
	more := clienttest.Dial(t, p.public) // so that rates are not 0 / 0
	more.ExpectClosed(more.Get("/accounts/2/keys"))
	more.Close()
	server.has(`rate(politeclose_compliance_seconds_count[1m]) > 0`)

	for title, expressions := range panels(t) {
		t.Run("panel "+title, func(t *testing.T) {
			for _, expression := range expressions {
				if !absent[selector.FindString(strings.Split(expression, "{")[0])] {
					(&scraper{t, server.address}).has(expression)
				}
			}
		})
	}
	for name, expression := range alerts(t) {
		t.Run("alert "+name, func(t *testing.T) {
			if _, err := server.ask(expression); err != nil {
				t.Error(err)
			}
			found := selector.FindAllString(expression, -1)
			if len(found) == 0 {
				t.Errorf("there is no metric in %s", expression)
			}
			for _, s := range found {
				(&scraper{t, server.address}).has(s)
			}
		})
	}
}

// The file has series of its own, which promtool does not compare with anything.
func TestTheSeriesOfTheRulesTestAreRealOnes(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(deploy, "prometheus-rules.test.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	scraped := p.get("/metrics", "")
	found := selector.FindAllString(string(text), -1)
	if len(found) < 10 {
		t.Fatalf("%d series found", len(found))
	}
	for _, s := range found {
		name, labels, _ := strings.Cut(strings.TrimSuffix(s, "}"), "{")
		var line string
		for line = range strings.Lines(scraped) {
			if strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ") {
				break
			}
			line = ""
		}
		if line == "" {
			t.Errorf("a real server has no %s", name)
		}
		for pair := range strings.SplitSeq(labels, ",") {
			label, _, _ := strings.Cut(pair, "=")
			if label != "job" && label != "instance" && !strings.Contains(line, label+"=") {
				t.Errorf("a real server's %s has no label %s: %s", name, label, line)
			}
		}
	}
}
