package core

import (
	"maps"
	"sync"
)

// Impair is for servers: it counts in [Stats.Impaired] that a rule cannot work,
// and logs a warning with the cause the first time. The cause is a constant, so
// that the counters are few. It is safe for concurrent use.
func (c *Controller) Impair(cause string) {
	if c.impaired.count(cause) == 1 {
		c.logger.Warn("politeclose: " + cause + ". This is said once; Stats counts it")
	}
}

// impairments counts the states in which a rule cannot work, by their cause.
type impairments struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (i *impairments) count(cause string) uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.counts == nil {
		i.counts = make(map[string]uint64)
	}
	i.counts[cause]++
	return i.counts[cause]
}

func (i *impairments) snapshot() map[string]uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	counts := make(map[string]uint64, len(i.counts))
	maps.Copy(counts, i.counts)
	return counts
}
