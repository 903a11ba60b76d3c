package load

import (
	"fmt"
	"math"
	"runtime/metrics"

	"github.com/politeclose/politeclose/core"
)

// Memory is the memory that the garbage collector cannot free, as a share of
// the Go memory limit (GOMEMLIMIT, debug.SetMemoryLimit): what was live at the
// last collection, stacks, and the runtime's own. soft and hard are from 0 to
// 1. Its name is "memory". Without a limit New fails with
// [core.ErrSignalUnavailable].
//
// It is not all the memory that counts towards the limit: the collector lets
// garbage pile up to it in the best of health.
func Memory(soft, hard float64) core.Signal {
	return ofProcess("memory", "the Go memory limit", soft, hard, func() (float64, error) {
		m, err := runtimeMemory()
		if err != nil {
			return 0, err
		}
		return m.share()
	})
}

// memory is what the runtime's metrics of these names say, in bytes.
type memory [len(memoryMetrics)]uint64

var memoryMetrics = [...]string{
	memoryLimit:    "/gc/gomemlimit:bytes",
	memoryLive:     "/gc/heap/live:bytes",
	memoryTotal:    "/memory/classes/total:bytes",
	memoryReleased: "/memory/classes/heap/released:bytes",
	memoryObjects:  "/memory/classes/heap/objects:bytes",
	memoryUnused:   "/memory/classes/heap/unused:bytes",
	memoryFree:     "/memory/classes/heap/free:bytes",
}

const (
	memoryLimit = iota
	memoryLive
	memoryTotal
	memoryReleased
	memoryObjects
	memoryUnused
	memoryFree
)

// share is the part of the limit that no collection can give back. The limit is
// one on the total without what was released.
func (m memory) share() (float64, error) {
	if m[memoryLimit] >= math.MaxInt64 {
		return 0, fmt.Errorf("the process has no Go memory limit, set GOMEMLIMIT: %w", core.ErrSignalUnavailable)
	}
	heap := m[memoryReleased] + m[memoryObjects] + m[memoryUnused] + m[memoryFree]
	rest := float64(m[memoryTotal]) - float64(heap) // read at slightly different times
	return (float64(m[memoryLive]) + max(rest, 0)) / float64(m[memoryLimit]), nil
}

func runtimeMemory() (m memory, err error) {
	samples := make([]metrics.Sample, len(memoryMetrics))
	for i, name := range memoryMetrics {
		samples[i].Name = name
	}
	metrics.Read(samples)
	for i, s := range samples {
		if s.Value.Kind() != metrics.KindUint64 {
			return m, fmt.Errorf("the runtime has no metric %s: %w", s.Name, core.ErrSignalUnavailable)
		}
		m[i] = s.Value.Uint64()
	}
	return m, nil
}
