package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/politeclose/politeclose/internal/restart"
)

func TestABadFlagGetsOneLineThatSaysWhatIsAllowed(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"no client":               {[]string{"-clients", "0"}, []string{`"0"`, "-clients", "from 1 to 4096"}},
		"clients in words":        {[]string{"-clients=many"}, []string{`"many"`, "-clients", "from 1 to 4096"}},
		"a negative think time":   {[]string{"-think", "-1ms"}, []string{`"-1ms"`, "-think", "from 0s to 2s"}},
		"a think time, no unit":   {[]string{"-think", "20"}, []string{`"20"`, "-think", "such as 20ms"}},
		"a handler too long":      {[]string{"-handler", "1h"}, []string{`"1h"`, "-handler", "from 0s to 2s"}},
		"a share in percent":      {[]string{"-slow", "2"}, []string{`"2"`, "-slow", "from 0 to 1"}},
		"a share not a number":    {[]string{"-slow", "NaN"}, []string{`"NaN"`, "-slow", "from 0 to 1"}},
		"too many restarts":       {[]string{"-restarts", "1001"}, []string{`"1001"`, "-restarts", "from 1 to 1000"}},
		"an unknown method":       {[]string{"-method", "kill"}, []string{`"kill"`, "-method", "all, shutdown, keepalives, header, politeclose"}},
		"a bool that is none":     {[]string{"-tls=maybe"}, []string{`"maybe"`, "-tls", "true or false"}},
		"an unknown flag":         {[]string{"-client", "3"}, []string{"-client"}},
		"a flag without a value":  {[]string{"-clients"}, []string{"-clients"}},
		"an argument, not a flag": {[]string{"shutdown"}, []string{`"shutdown"`, "only flags"}},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := run(t.Context(), test.args, &stdout, &stderr, false); status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output %q, want none", &stdout)
			}
			line := stderr.String()
			if strings.Count(line, "\n") != 1 {
				t.Errorf("%q is not one line", line)
			}
			for _, want := range test.want {
				if !strings.Contains(line, want) {
					t.Errorf("%q does not contain %q", line, want)
				}
			}
		})
	}
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), []string{"-h"}, &stdout, &stderr, false); status != 0 {
		t.Errorf("exit status %d, want 0", status)
	}
	for _, want := range []string{"-clients", "default 64", "-think", "default 2ms", "-json"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the usage does not contain %q:\n%s", want, &stdout)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error %q, want none", &stderr)
	}
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
	if stderr.Len() > 0 {
		t.Errorf("standard error %q, want none: it is not a terminal", &stderr)
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

func TestAnInterruptedRunFailsAndStillPrintsItsRow(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received"))
	var stdout, stderr bytes.Buffer
	if status := run(ctx, []string{"-clients", "4"}, &stdout, &stderr, false); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if !strings.Contains(stderr.String(), "drain: shutdown: interrupt signal received") {
		t.Errorf("standard error %q", &stderr)
	}
	if !strings.Contains(stdout.String(), "\nshutdown ") {
		t.Errorf("no row in:\n%s", &stdout)
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
