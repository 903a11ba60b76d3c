package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/demonstration/demonstrationtest"
)

func TestABadFlagGetsOneLineThatSaysWhatIsAllowed(t *testing.T) {
	demonstrationtest.RefusesBadFlags(t, start, map[string][]string{
		"-streams 0":     {`"0"`, "-streams", "from 1 to 1000"},
		"-node=-1":       {`"-1"`, "-node", "from 0 to 100"},
		"-restarts 1001": {`"1001"`, "-restarts", "from 1 to 1000"},
		"-every 0s":      {`"0s"`, "-every", "from 1ms to 1s"},
		"-timeout 1ms":   {`"1ms"`, "-timeout", "from 400ms to 10s"},
		"-method kill":   {`"kill"`, "-method", "all, shutdown, politeclose"},
		"-json=maybe":    {`"maybe"`, "-json", "true or false"},
		"-stream 3":      {"-stream"},
		"shutdown":       {`"shutdown"`, "only flags"},
	})
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	demonstrationtest.PrintsItsHelp(t, start, "-streams", "default 16", "-restarts", "-json")
}

// small is traffic that a test has time for. Its drains end by themselves.
func small() config {
	return config{Streams: 4, Restarts: 2, Every: 5 * time.Millisecond, Timeout: 10 * time.Second}
}

func politelyMethod() method { return method{polite, politely} }

func TestPolitecloseTellsEveryStreamAndLosesNothing(t *testing.T) {
	result, err := measure(t.Context(), small(), politelyMethod())
	if err != nil {
		t.Fatal(err)
	}
	if result.failed() || len(result.drains) != 2 {
		t.Errorf("%d drains: %+v", len(result.drains), result)
	}
	for _, c := range result.clients {
		if c.Streams != 4 || c.Messages == 0 || c.Told < 8 || c.Opened != c.Told+c.Streams {
			t.Errorf("the counts are %+v", c)
		}
	}
}

func TestNodesClientsComeAgainToo(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("Node is not installed; .ci/run installs it on Debian")
	}
	c := small()
	c.Streams, c.Node, c.Restarts = 1, 1, 1
	result, err := measure(t.Context(), c, politelyMethod())
	if err != nil {
		t.Fatal(err)
	}
	if result.failed() || len(result.clients) < 3 {
		t.Errorf("the result is %+v", result)
	}
	for _, c := range result.clients[2:] {
		if !strings.HasPrefix(c.Kind, "Node ") || c.Told == 0 || c.Messages == 0 {
			t.Errorf("the counts are %+v", c)
		}
	}
}

func TestPlainShutdownTellsNobodyAndCutsAll(t *testing.T) {
	c := small()
	c.Timeout = 400 * time.Millisecond
	result, err := measure(t.Context(), c, method{"shutdown", shutdown})
	if err != nil {
		t.Fatal(err)
	}
	const ends = 2 * 2 * 4 // restarts, kinds, streams
	if total := result.total(); total.Told != 0 || total.Cut != ends || result.forced != ends || total.Doubled != 0 {
		t.Errorf("the result is %+v", result)
	}
	if sse := result.clients[0]; sse.Lost != 0 {
		t.Errorf("Last-Event-ID did not bring back %d events", sse.Lost)
	}
	if result.drainMedian() < c.Timeout {
		t.Errorf("it waited %v for streams that nobody told", result.drainMedian())
	}
}

func TestALostAndADoubledMessageAreCounted(t *testing.T) {
	c := &eventsClient{tally: newTally("", 1)}
	for _, id := range []int{1, 2, 2, 1, 5} {
		c.see(id)
	}
	if got := c.counts; got.Messages != 3 || got.Doubled != 2 || got.Lost != 2 {
		t.Errorf("the counts are %+v", got)
	}
}

func TestTheExitStatusIsThatOfAnyLoss(t *testing.T) {
	impolite := method{polite, shutdown}
	for name, test := range map[string]struct {
		method method
		status int
		want   string
	}{
		"none": {politelyMethod(), 0, "politeclose lost and cut none"},
		"some": {impolite, 1, "and should not"},
	} {
		t.Run(name, func(t *testing.T) {
			c := small()
			c.Restarts = 1
			if test.status == 1 {
				c.Timeout = 400 * time.Millisecond
			}
			var stdout, stderr bytes.Buffer
			s := settings{config: c, methods: []method{test.method}}
			if status := compare(t.Context(), s, &stdout, &stderr, false); status != test.status || stderr.Len() > 0 {
				t.Errorf("exit status %d, want %d; %s", status, test.status, &stderr)
			}
			if !strings.Contains(stdout.String(), test.want) {
				t.Errorf("no %q in:\n%s", test.want, &stdout)
			}
			for line := range strings.Lines(stdout.String()) {
				if width := utf8.RuneCountInString(line) - 1; width > 80 {
					t.Errorf("%d columns: %s", width, line)
				}
			}
		})
	}
}

func TestJSONHasTheCountsOfEachKind(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-method", polite, "-restarts", "1", "-streams", "2", "-node", "0", "-timeout", "10s", "-json"}
	if status := start(t.Context(), args, &stdout, &stderr, true); status != 0 {
		t.Fatalf("exit status %d: %s", status, &stderr)
	}
	var document struct {
		Results []struct {
			Method                                          string
			Restarts, Streams, Messages, Lost, Told, Forced int
			DrainWorst                                      float64 `json:"drain_worst_ms"`
			Clients                                         []counts
		}
	}
	decoder := json.NewDecoder(&stdout)
	if err := decoder.Decode(&document); err != nil || len(document.Results) != 1 {
		t.Fatalf("%+v, %v", document, err)
	}
	r := document.Results[0]
	if r.Method != polite || r.Restarts != 1 || r.Streams != 4 || r.Messages == 0 || r.Told < 4 || r.DrainWorst <= 0 || len(r.Clients) != 2 {
		t.Errorf("unexpected result: %+v", r)
	}
	if !strings.Contains(stderr.String(), "politeclose: restart 1 of 1") {
		t.Errorf("no progress in %q", &stderr)
	}
}

func TestAnInterruptedRunFailsAndInventsNoRow(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received"))
	var stdout, stderr bytes.Buffer
	if status := start(ctx, []string{"-streams", "2", "-node", "0"}, &stdout, &stderr, false); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if !strings.Contains(stderr.String(), "interrupt signal received") || stdout.Len() > 0 {
		t.Errorf("standard error %q, standard output\n%s", &stderr, &stdout)
	}
}

func TestARunLeavesNoGoroutineBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	if _, err := measure(t.Context(), small(), politelyMethod()); err != nil {
		t.Fatal(err)
	}
	clienttest.Eventually(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}
