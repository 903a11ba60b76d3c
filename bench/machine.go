package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is the head of the report.
func machine(now time.Time) string {
	head := fmt.Sprintf(`# Benchmarks

Made by `+"`cd bench && go run . > ../docs/benchmarks.md`"+` on %s with %s, %s/%s, on %s, %d cores, GOMAXPROCS %d.
Compare within a table only: all of its rows are from one run and took turns in it.
`, now.Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH, processor(), runtime.NumCPU(), runtime.GOMAXPROCS(0))
	if load, known := loadAverage(); known && load >= busy {
		head += fmt.Sprintf(`
**The machine was busy with other work**: its load average was %.1f when the run began. Times are longer than they should
be, rates lower, and ratios of single rows are noise unless their A/A column says otherwise.
`, load)
	}
	return head
}

// busy is the load average from which on a run has to say so.
const busy = 1.5

// processor is the model's name where Linux tells it.
func processor() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// loadAverage is that of the last minute, where Linux tells it.
func loadAverage() (load float64, known bool) {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(content), " ")
	load, err = strconv.ParseFloat(first, 64)
	return load, err == nil
}
