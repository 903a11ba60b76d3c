package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/politeclose/politeclose/internal/demonstration/demonstrationtest"
	"github.com/politeclose/politeclose/internal/restart"
)

func TestABadFlagGetsOneLineThatSaysWhatIsAllowed(t *testing.T) {
	demonstrationtest.RefusesBadFlags(t, run, map[string][]string{
		"-clients 0":          {`"0"`, "-clients", "from 1 to 4096"},
		"-clients=many":       {`"many"`, "-clients", "from 1 to 4096"},
		"-think -1ms":         {`"-1ms"`, "-think", "from 0s to 2s"},
		"-think 20":           {`"20"`, "-think", "such as 20ms"},
		"-handler 1h":         {`"1h"`, "-handler", "from 0s to 2s"},
		"-slow 2":             {`"2"`, "-slow", "from 0 to 1"},
		"-slow NaN":           {`"NaN"`, "-slow", "from 0 to 1"},
		"-restarts 1001":      {`"1001"`, "-restarts", "from 1 to 1000"},
		"-method kill":        {`"kill"`, "-method", "all, shutdown, keepalives, header, politeclose"},
		"-streams 4":          {`"4"`, "-streams", "without -http2 is 1"},
		"-http2 -streams 251": {`"251"`, "-streams", "from 1 to 250"},
		"-plot no/such/a.svg": {`"no/such/a.svg"`, "-plot", "can be written"},
		"-http2=3":            {`"3"`, "-http2", "true or false"},
		"-tls=maybe":          {`"maybe"`, "-tls", "true or false"},
		"-client 3":           {"-client"},
		"-clients":            {"-clients"},
		"shutdown":            {`"shutdown"`, "only flags"},
	})
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	demonstrationtest.PrintsItsHelp(t, run, "-clients", "default 64", "-think", "default 2ms", "-http2", "default 16", "-json")
}

func TestTheTableHasARowPerMethod(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-restarts", "1", "-clients", "8", "-tls"}
	if status := run(t.Context(), args, &stdout, &stderr, false); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	for _, method := range methods() {
		if !strings.Contains(stdout.String(), "\n"+method.Name+" ") {
			t.Errorf("no row for %s:\n%s", method.Name, &stdout)
		}
	}
	for line := range strings.Lines(stdout.String()) {
		if width := utf8.RuneCountInString(line) - 1; width > 80 {
			t.Errorf("%d columns: %s", width, line)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error %q, want none: it is not a terminal", &stderr)
	}
}

func TestThePlotShowsWhatWasLostAndWhen(t *testing.T) {
	lossy := restart.Result{
		Method: "lossy", Restarts: 2, Lost: 3, Drains: []time.Duration{4 * time.Millisecond, 5 * time.Millisecond},
		LostAfter: []time.Duration{time.Millisecond, time.Millisecond, 29 * time.Millisecond},
	}
	quiet := restart.Result{Method: "quiet", Restarts: 1, Drains: []time.Duration{2 * time.Millisecond}}
	var svg bytes.Buffer
	if err := plot(&svg, restart.Config{Clients: 8}, []restart.Result{lossy, quiet}); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(svg.Bytes(), new(struct{})); err != nil {
		t.Errorf("it is no XML: %v", err)
	}
	// A square of the legend, and a bar for each of two moments.
	if bars := strings.Count(svg.String(), `<rect class="lost"`); bars != 3 {
		t.Errorf("%d bars, want 3:\n%s", bars, &svg)
	}
	for _, want := range []string{">lossy<", "1.5 lost", ">quiet<", "0.0 lost", ">30ms<"} {
		if !strings.Contains(svg.String(), want) {
			t.Errorf("no %s in:\n%s", want, &svg)
		}
	}
}

func TestJSONHasTheCountsOfBothSides(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-method", "shutdown", "-restarts", "2", "-clients", "8", "-json"}
	if status := run(t.Context(), args, &stdout, &stderr, true); status != 0 {
		t.Fatalf("exit status %d: %s", status, &stderr)
	}
	var document struct {
		Clients int
		Think   float64 `json:"think_ms"`
		Results []struct {
			Method                   string
			Restarts                 int
			Requests, Answered, Lost int
			Reached                  int     `json:"server_reached"`
			Executed                 int     `json:"lost_executed"`
			DrainMedian              float64 `json:"drain_median_ms"`
		}
	}
	if err := json.Unmarshal(stdout.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	if document.Clients != 8 || document.Think != 2 || len(document.Results) != 1 {
		t.Fatalf("unexpected document:\n%s", &stdout)
	}
	r := document.Results[0]
	if r.Method != "shutdown" || r.Restarts != 2 || r.DrainMedian <= 0 || r.Answered == 0 {
		t.Errorf("unexpected result: %+v", r)
	}
	if r.Requests != r.Answered+r.Lost || r.Reached != r.Answered+r.Executed {
		t.Errorf("the counts do not add up: %+v", r)
	}
	if !strings.Contains(stderr.String(), "shutdown: restart 2 of 2") {
		t.Errorf("no progress in %q", &stderr)
	}
}

func TestHTTP2HasDefaultsOfItsOwn(t *testing.T) {
	for name, test := range map[string]struct {
		args                       []string
		clients, streams, restarts int
	}{
		"HTTP/1.1":        {nil, 64, 0, 20},
		"HTTP/1.1, given": {[]string{"-clients", "3", "-streams", "1", "-restarts", "4"}, 3, 0, 4},
		"HTTP/2":          {[]string{"-http2"}, 8, 16, 5},
		"HTTP/2, given":   {[]string{"-http2", "-clients", "64", "-streams", "2", "-restarts", "20"}, 64, 2, 20},
		"not HTTP/2":      {[]string{"-http2=false"}, 64, 0, 20},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse(test.args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			got := s.traffic
			if got.Clients != test.clients || got.Streams != test.streams || got.Restarts != test.restarts {
				t.Errorf("%d clients, %d streams, %d restarts", got.Clients, got.Streams, got.Restarts)
			}
		})
	}
}

func TestOnlyHTTP2CountsWhatWasNeverSent(t *testing.T) {
	for name, test := range map[string]struct {
		flag    string
		streams any
		never   bool
	}{
		"HTTP/1.1": {"-http2=false", nil, false},
		"HTTP/2":   {"-http2", 4.0, true},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{test.flag, "-method", "politeclose", "-clients", "2", "-restarts", "1"}
			if test.never {
				args = append(args, "-streams", "4")
			}
			var table, document, stderr bytes.Buffer
			if status := run(t.Context(), args, &table, &stderr, false); status != 0 {
				t.Errorf("exit status %d, want 0: %s", status, &stderr)
			}
			if said := strings.Contains(table.String(), "were never sent"); said != test.never {
				t.Errorf("the table says so: %t\n%s", said, &table)
			}
			if status := run(t.Context(), append(args, "-json"), &document, &stderr, false); status != 0 {
				t.Errorf("exit status %d, want 0: %s", status, &stderr)
			}
			var decoded map[string]any
			if err := json.Unmarshal(document.Bytes(), &decoded); err != nil {
				t.Fatal(err)
			}
			result := decoded["results"].([]any)[0].(map[string]any)
			_, counted := result["never_sent"]
			_, explained := result["never_sent_causes"]
			if counted != test.never || explained != test.never || decoded["streams"] != test.streams {
				t.Errorf("unexpected document:\n%s", &document)
			}
		})
	}
}

func TestAnInterruptedRunFailsAndInventsNoRow(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received"))
	var stdout, stderr bytes.Buffer
	if status := run(ctx, []string{"-clients", "4"}, &stdout, &stderr, false); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if !strings.Contains(stderr.String(), "drain: shutdown: interrupt signal received") {
		t.Errorf("standard error %q", &stderr)
	}
	if stdout.Len() > 0 {
		t.Errorf("nothing was measured, and this printed:\n%s", &stdout)
	}
}

func TestTheExitStatusTellsWhetherPolitecloseLostAny(t *testing.T) {
	for name, test := range map[string]struct {
		method restart.Method
		status int
		want   string
	}{
		"none": {restart.Politeclose(restart.NetHTTP), 0, "politeclose lost none"},
		"some": {restart.Method{Name: polite, Serve: restart.Shutdown().Serve}, 1, "and should lose none"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parse([]string{"-clients", "32", "-think", "1ms", "-restarts", "4"}, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			s.methods = []restart.Method{test.method}
			var stdout, stderr bytes.Buffer
			if status := measure(t.Context(), s, &stdout, &stderr, false); status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			if !strings.Contains(stdout.String(), test.want) {
				t.Errorf("no %q in:\n%s", test.want, &stdout)
			}
			if stderr.Len() > 0 {
				t.Errorf("standard error %q, want none", &stderr)
			}
		})
	}
}
