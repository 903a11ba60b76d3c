package load_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/core/load"
)

func one() float64 { return 1 }

func TestABadThresholdIsAnErrorThatNamesIt(t *testing.T) {
	limitMemory(t, 1<<30)
	for name, test := range map[string]struct {
		signal core.Signal
		want   []string
	}{
		"soft above hard":           {load.InFlight(20, 10), []string{`"in_flight"`, "soft 20", "hard 10", "less than hard"}},
		"soft equal to hard":        {load.Connections(10, 10), []string{`"connections"`, "soft 10", "less than hard"}},
		"a negative number":         {load.InFlight(-1, 10), []string{`"in_flight"`, "soft -1", "at least 0"}},
		"a CPU share in percent":    {load.CPU(70, 90), []string{`"cpu"`, "soft 70", "hard 90", "from 0 to 1"}},
		"a CPU share above 1":       {load.CPU(0.9, 1.1), []string{`"cpu"`, "hard 1.1", "from 0 to 1"}},
		"a negative CPU share":      {load.CPU(-0.1, 0.9), []string{`"cpu"`, "soft -0.1", "at least 0"}},
		"a CPU share not a number":  {load.CPU(math.NaN(), 0.9), []string{`"cpu"`, "NaN", "finite"}},
		"a memory share above 1":    {load.Memory(0.5, 2), []string{`"memory"`, "hard 2", "from 0 to 1"}},
		"memory, soft above hard":   {load.Memory(0.9, 0.8), []string{`"memory"`, "soft 0.9", "less than hard"}},
		"latency, soft above hard":  {load.SchedulerLatency(time.Second, time.Millisecond), []string{`"scheduler_latency"`, "soft 1", "hard 0.001"}},
		"a negative latency":        {load.SchedulerLatency(-1, time.Millisecond), []string{`"scheduler_latency"`, "at least 0"}},
		"a function without a name": {load.Func("", 1, 2, one), []string{"no name"}},
		"infinite thresholds":       {load.Func("queue", 1, math.Inf(1), one), []string{`"queue"`, "finite"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := core.New(core.OnLoad(test.signal))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(test.want, "OnLoad") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %s", err, want)
				}
			}
			if errors.Is(err, core.ErrSignalUnavailable) {
				t.Errorf("%q is a signal that is unavailable", err)
			}
		})
	}
}

func TestANilFunctionIsUnknownAndSaidOnce(t *testing.T) {
	var log bytes.Buffer
	ctl, err := core.New(core.Logger(slog.New(slog.NewTextHandler(&log, nil))), core.OnLoad(load.Func("queue", 1, 2, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if ctl.Stats().Signals[0].Known {
		t.Error("it is known")
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "queue") {
		t.Errorf("said:\n%s", &log)
	}
}

func TestSignalsOfTheControllerReadItsSnapshot(t *testing.T) {
	snapshot := core.Snapshot{InFlight: 3, Connections: 5}
	for _, test := range []struct {
		signal core.Signal
		want   float64
	}{{load.InFlight(1, 2), 3}, {load.Connections(1, 2), 5}, {load.Func("queue", 1, 2, one), 1}} {
		if got, err := test.signal.Read(snapshot); got != test.want || err != nil {
			t.Errorf("%s is %v, %v; want %v", test.signal.Name, got, err, test.want)
		}
	}
}

// limitMemory sets the process's Go memory limit for one test.
func limitMemory(t *testing.T, limit int64) {
	t.Helper()
	before := debug.SetMemoryLimit(limit)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

func TestMemoryWithoutALimitIsUnavailable(t *testing.T) {
	limitMemory(t, math.MaxInt64)
	_, err := core.New(core.OnLoad(load.Memory(0.8, 0.9)))
	if !errors.Is(err, core.ErrSignalUnavailable) {
		t.Fatalf("the error is %v", err)
	}
	for _, want := range []string{`"memory"`, "GOMEMLIMIT"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %s", err, want)
		}
	}
}

func TestMemoryOfThisProcess(t *testing.T) {
	limitMemory(t, 256<<20)
	signal := load.Memory(0.5, 0.9)
	for range 2 { // what pools and finalizers keep outlives the first
		runtime.GC()
	}
	before := read(t, signal)
	ballast := bytes.Repeat([]byte("ballast "), 8<<20)
	runtime.GC()
	after := read(t, signal)
	runtime.KeepAlive(ballast)
	if gained := after - before; before <= 0 || gained < 0.24 || gained > 0.30 {
		t.Errorf("a quarter of the limit took it from %v to %v", before, after)
	}
}

func TestCPUOfThisProcess(t *testing.T) {
	signal := load.CPU(0.5, 0.9)
	read(t, signal)
	// One thread is a quarter of four, and on a machine that is busy with others it
	// gets a part of that. A time in the wrong unit is a thousand times off.
	const least = 0.01
	busy := 0.0
	for end := time.Now().Add(20 * time.Second); busy < least && time.Now().Before(end); {
		spin(100 * time.Millisecond)
		busy = read(t, signal)
	}
	if busy < least || busy > 1.5 {
		t.Errorf("under work it is %v", busy)
	}
}

func TestSchedulerLatencyOfThisProcess(t *testing.T) {
	signal := load.SchedulerLatency(time.Millisecond, time.Second)
	read(t, signal)
	var waiting sync.WaitGroup
	for range 50 * runtime.GOMAXPROCS(0) {
		waiting.Go(func() {
			for range 20 {
				spin(100 * time.Microsecond)
				runtime.Gosched()
			}
		})
	}
	waiting.Wait()
	if got := read(t, signal); got < 1e-3 || got > 60 {
		t.Errorf("with 50 goroutines to a thread it is %v s", got)
	}
}

func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func read(t *testing.T, signal core.Signal) float64 {
	t.Helper()
	v, err := signal.Read(core.Snapshot{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestASignalMayBeSharedByControllers(t *testing.T) {
	limitMemory(t, 1<<30)
	signals := []core.Signal{load.CPU(0.5, 0.9), load.Memory(0.5, 0.9), load.SchedulerLatency(1, 2), load.InFlight(1, 2)}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 100 {
				for _, s := range signals {
					if v, err := s.Read(core.Snapshot{}); err != nil || v < 0 || math.IsNaN(v) {
						t.Errorf("%s is %v, %v", s.Name, v, err)
					}
				}
			}
		})
	}
	all.Wait()
}

func Example() {
	ctl, err := core.New(core.OnLoad(
		load.InFlight(200, 400),
		load.SchedulerLatency(5*time.Millisecond, 50*time.Millisecond),
	))
	if err != nil {
		panic(err)
	}
	for _, s := range ctl.Stats().Signals {
		fmt.Println(s.Name, s.Soft, s.Hard)
	}
	// Output:
	// in_flight 200 400
	// scheduler_latency 0.005 0.05
}

func ExampleFunc() {
	jobs := make(chan func(), 1000)
	queue := load.Func("queue", 500, 900, func() float64 { return float64(len(jobs)) })
	_, err := core.New(core.OnLoad(queue))
	fmt.Println(err)
	// Output: <nil>
}

func ExampleMemory() {
	// This process has no Go memory limit, so GOMEMLIMIT is not set.
	_, err := core.New(core.OnLoad(load.Memory(0.8, 0.95)))
	if errors.Is(err, core.ErrSignalUnavailable) {
		fmt.Println("go on without it")
	}
	// Output: go on without it
}

func BenchmarkRead(b *testing.B) {
	debug.SetMemoryLimit(1 << 40)
	defer debug.SetMemoryLimit(math.MaxInt64)
	for _, s := range []core.Signal{
		load.InFlight(1, 2), load.Connections(1, 2), load.CPU(0.5, 0.9), load.Memory(0.5, 0.9), load.SchedulerLatency(1, 2),
	} {
		b.Run(s.Name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Read(core.Snapshot{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
