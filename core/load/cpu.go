package load

import (
	"runtime"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core"
)

// CPU is the CPU time that the process used since the last reading, as a share
// of GOMAXPROCS, which follows a container's quota. soft and hard are from 0 to
// 1. Its name is "cpu". Where the system does not tell a process its CPU time
// New fails with [core.ErrSignalUnavailable].
//
// A process that uses all it may have shows no difference between a little too
// much load and a lot, and closes do not lower it before the overload is over;
// [SchedulerLatency] tells them apart.
func CPU(soft, hard float64) core.Signal {
	meter := cpuMeter{used: processTime, now: time.Now}
	return ofProcess("cpu", "GOMAXPROCS", soft, hard, meter.read)
}

// minCPUWindow is the shortest one to be measured: on most systems a thread's
// time advances in ticks of 1 to 10 ms.
const minCPUWindow = 50 * time.Millisecond

// cpuMeter turns the CPU time of a process into its share.
type cpuMeter struct {
	used func() (time.Duration, error)
	now  func() time.Time

	mu       sync.Mutex // a Signal may have been given to two Controllers
	lastUsed time.Duration
	lastTime time.Time
	share    float64
}

func (m *cpuMeter) read() (float64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	window := now.Sub(m.lastTime)
	if window < minCPUWindow {
		return m.share, nil
	}
	used, err := m.used()
	if err != nil {
		return 0, err
	}
	if !m.lastTime.IsZero() {
		m.share = float64(used-m.lastUsed) / float64(window) / float64(runtime.GOMAXPROCS(0))
	}
	m.lastUsed, m.lastTime = used, now
	return m.share, nil
}
