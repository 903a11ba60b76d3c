package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/politeclose/politeclose/internal/demonstration/demonstrationtest"
)

func TestABadFlagGetsOneLineThatSaysWhatIsAllowed(t *testing.T) {
	demonstrationtest.RefusesBadFlags(t, run, map[string][]string{
		"-replicas 3":       {`"3"`, "-replicas", "from 10 to 10000"},
		"-clients many":     {`"many"`, "-clients", "from 10 to 10000000"},
		"-think 0s":         {`"0s"`, "-think", "from 1s to 1h"},
		"-placement best":   {`"best"`, "-placement", "random"},
		"-scenario fire":    {`"fire"`, "-scenario", "all, "},
		"-policy hope":      {`"hope"`, "-policy", "all, ", `excess, "excess, age 1h"`},
		"-plot .":           {`"."`, "-plot", "can be written"},
		"-duration -1s":     {`"-1s"`, "-duration", "from 1s to 24h"},
		"-seed -1":          {`"-1"`, "-seed", "allowed"},
		"-drain-delay 1m":   {`"1m"`, "-drain-delay", "from 0s to 10s"},
		"-drain-spread 11s": {`"11s"`, "-drain-spread", "from 0s to 10s"},
		"-json=perhaps":     {`"perhaps"`, "-json", "true or false"},
		"now":               {`"now"`, "only flags"},
	})
}

func TestHelpListsTheFlagsAndIsNoFailure(t *testing.T) {
	demonstrationtest.PrintsItsHelp(t, run, "-replicas", "default 100", "-scenario", "-policy", "-json")
}

var small = []string{"-replicas", "10", "-clients", "1000", "-duration", "1m"}

func TestTheTableHasALineForEachSimulation(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "fleet.svg")
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), append(small, "-scenario", "all", "-plot", plot), &stdout, &stderr, true); status != 0 {
		t.Fatalf("status %d: %s", status, stderr.String())
	}
	table := stdout.String()
	for _, name := range []string{"scale-out", "rolling restart", "restart by quarters", "crash of a tenth", "slow replica", "flapping readiness", "nobody answers"} {
		_, rows, found := strings.Cut(table, "\n"+name+"\n")
		rows, _, _ = strings.Cut(rows, "\n\n")
		if n := strings.Count(rows, "\n") - 1; !found || n != 5 {
			t.Errorf("%d lines for %s", n, name)
		}
	}
	for line := range strings.Lines(table) {
		if width := utf8.RuneCountInString(line) - 1; width > 80 {
			t.Errorf("%d columns: %s", width, line)
		}
	}
	if !strings.Contains(stderr.String(), "100 % simulated") {
		t.Errorf("the progress ends with %q", stderr.String())
	}
	if svg, err := os.ReadFile(plot); err != nil || !bytes.HasPrefix(svg, []byte("<svg")) {
		t.Errorf("the plot: %v", err)
	}
}

func TestJSONHasTheSameAndTheSameSeedGivesItAgain(t *testing.T) {
	run := func() string {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), append(small, "-json", "-seed", "7", "-placement", "random"), &stdout, &stderr, true); status != 0 {
			t.Fatalf("status %d: %s", status, stderr.String())
		}
		return stdout.String()
	}
	one := run()
	var results []map[string]any
	if err := json.Unmarshal([]byte(one), &results); err != nil || len(results) != 5 || results[3]["policy"] != "excess" {
		t.Errorf("%v: %s", err, one)
	}
	if again := run(); again != one {
		t.Errorf("once\n%s\nand again\n%s", one, again)
	}
}
