package load

import (
	"bufio"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
)

func TestCPUShareFromReadingsOfTheProcessTime(t *testing.T) {
	procs := time.Duration(runtime.GOMAXPROCS(0))
	start := time.Now()
	var used, passed time.Duration
	var broken error
	meter := cpuMeter{
		used: func() (time.Duration, error) { return used, broken },
		now:  func() time.Time { return start.Add(passed) },
	}
	for _, step := range []struct {
		name   string
		used   time.Duration
		passed time.Duration
		want   float64
	}{
		{"the first reading has no window", time.Hour, 0, 0},
		{"all of GOMAXPROCS", procs * 100 * time.Millisecond, 100 * time.Millisecond, 1},
		{"a quarter", procs * 25 * time.Millisecond, 100 * time.Millisecond, 0.25},
		{"a window too short repeats the last", procs * 5 * time.Millisecond, 10 * time.Millisecond, 0.25},
		{"and counts in the next", procs * 85 * time.Millisecond, 90 * time.Millisecond, 0.9},
		{"nothing for a minute", 0, time.Minute, 0},
	} {
		used += step.used
		passed += step.passed
		got, err := meter.read()
		if err != nil || math.Abs(got-step.want) > 1e-9 {
			t.Errorf("%s: %v, %v; want %v", step.name, got, err, step.want)
		}
	}
	broken = core.ErrSignalUnavailable
	passed += time.Second
	if _, err := meter.read(); !errors.Is(err, core.ErrSignalUnavailable) {
		t.Errorf("the error of the reading became %v", err)
	}
}

func TestMemoryShareFromRecordedMetrics(t *testing.T) {
	for _, test := range []struct {
		file string
		want float64
	}{
		{"memory-160-of-256-mib.txt", 0.655},
		// 250 MiB count towards the limit, nearly all of them garbage.
		{"memory-garbage.txt", 0.0196},
	} {
		got, err := recordedMemory(t, test.file).share()
		if err != nil || math.Abs(got-test.want) > 0.001 {
			t.Errorf("%s: %v, %v; want %v", test.file, got, err, test.want)
		}
	}
	if _, err := recordedMemory(t, "memory-no-limit.txt").share(); !errors.Is(err, core.ErrSignalUnavailable) {
		t.Errorf("without a limit the error is %v", err)
	}
}

func TestLatencyFromRecordedHistograms(t *testing.T) {
	start := time.Now()
	var file string
	var passed time.Duration
	meter := latencyMeter{
		histogram: func() (*metrics.Float64Histogram, error) { return recordedHistogram(t, file), nil },
		now:       func() time.Time { return start.Add(passed) },
	}
	const idle, overloaded = "latencies-1-idle.txt", "latencies-2-overloaded.txt"
	for _, step := range []struct {
		name      string
		file      string
		passed    time.Duration
		low, high float64
	}{
		{"the first reading has no window", "latencies-0-start.txt", 0, 0, 0},
		{"an idle second", idle, time.Second, 1e-7, 1e-3},
		{"200 goroutines that spin on 2 threads", overloaded, 100 * time.Millisecond, 0.2, 0.6},
		{"they still count within the window", overloaded, 300 * time.Millisecond, 0.2, 0.6},
		{"and a second later, since that was the window's start", overloaded, time.Second, 0.2, 0.6},
		{"then they are gone", overloaded, time.Second, 0, 0},
	} {
		file = step.file
		passed += step.passed
		got, err := meter.read()
		if err != nil || got < step.low || got > step.high {
			t.Errorf("%s: %v s, %v; want from %v to %v", step.name, got, err, step.low, step.high)
		}
	}
}

func TestPercentileOfAHistogram(t *testing.T) {
	inf := math.Inf(1)
	for _, test := range []struct {
		name   string
		p      float64
		bounds []float64
		counts []uint64
		want   float64
	}{
		{"nothing counted", 0.99, []float64{0, 1, 2}, []uint64{0, 0}, 0},
		{"all in one bucket", 0.5, []float64{0, 1, 3}, []uint64{0, 10}, 2},
		{"the middle of two", 0.5, []float64{0, 1, 2}, []uint64{5, 5}, 1},
		{"the very last", 1, []float64{0, 1, 2, 4}, []uint64{1, 1, 1}, 4},
		{"an open end counts as its lower bound", 0.99, []float64{0, 1, inf}, []uint64{1, 99}, 1},
		{"an open start counts as its upper bound", 0.5, []float64{-inf, 1, 2}, []uint64{99, 1}, 1},
		{"a rank beyond the sum, by rounding", 1.1, []float64{0, 1, 2}, []uint64{1, 1}, 2},
	} {
		count := func(i int) uint64 { return test.counts[i] }
		if got := percentile(test.p, test.bounds, count); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func recordedMemory(t *testing.T, file string) (m memory) {
	t.Helper()
	for i, fields := range lines(t, file) {
		if fields[0] != memoryMetrics[i] {
			t.Fatalf("%s has %s where %s is asked for", file, fields[0], memoryMetrics[i])
		}
		v, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		m[i] = v
	}
	return m
}

func recordedHistogram(t *testing.T, file string) *metrics.Float64Histogram {
	t.Helper()
	h := new(metrics.Float64Histogram)
	for _, fields := range lines(t, file) {
		bound, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		count, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		h.Buckets, h.Counts = append(h.Buckets, bound), append(h.Counts, count)
	}
	h.Buckets = append(h.Buckets, math.Inf(1))
	return h
}

// lines returns the fields of the file's lines that are not comments.
func lines(t *testing.T, file string) (all [][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if !strings.HasPrefix(s.Text(), "#") {
			all = append(all, strings.Fields(s.Text()))
		}
	}
	if len(all) == 0 {
		t.Fatalf("%s is empty", file)
	}
	return all
}
