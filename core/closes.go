package core

import (
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/recent"
)

// closes counts announced closes by reason and protocol.
type closes struct {
	counts []closeCounts // by reasonIndex-1
	recent *recent.Recent
}

type closeCounts [len(protocolNames)]atomic.Uint64

func (n *closeCounts) sum() (sum uint64) {
	for p := range n {
		sum += n[p].Load()
	}
	return sum
}

// read puts the counts of a reason into s.
func (n *closeCounts) read(s *Stats, reason Reason) {
	s.Closes[reason] = 0
	for p, name := range protocolNames {
		if count := n[p].Load(); count > 0 {
			if s.Announcements[reason] == nil {
				s.Announcements[reason] = make(map[string]uint64)
			}
			s.Announcements[reason][name] = count
			s.Closes[reason] += count
		}
	}
}

const (
	recentInterval  = 10 * time.Second
	recentIntervals = 30
)

func (c *closes) init(reasons int) {
	c.counts = make([]closeCounts, reasons)
	c.recent = recent.New(recentIntervals, int64(recentInterval), func() []uint64 {
		sums := make([]uint64, len(c.counts))
		for i := range c.counts {
			sums[i] = c.counts[i].sum()
		}
		return sums
	})
}

func (c *closes) count(reason reasonIndex, p protocol, now int64) {
	c.recent.Note(now)
	c.counts[reason-1][p].Add(1)
}

// countClose counts the announcement of the connection's end and tells of it,
// once.
func (c *Connection) countClose() {
	if c.set(bitCounted)&bitCounted != 0 {
		return
	}
	now := c.ctl.now()
	mark, _ := c.marked()
	c.ctl.closes.count(mark, c.protocol(), now)
	if c.ctl.observers.Heard() {
		c.sharedRecord().announced.Store(now)
		c.observe(EventAnnounced, nil)
	}
}

// countUntrackedClose is for a connection without a record.
func (c *Controller) countUntrackedClose(reason reasonIndex, p protocol) {
	c.closes.count(reason, p, c.now())
	c.observeUntracked(reason, p)
}

// Interval is a part of the last five minutes, in [Controller.RecentCloses].
type Interval struct {
	Start    time.Time         `json:"start"`
	Duration time.Duration     `json:"-"`      // 10 s
	Closes   map[Reason]uint64 `json:"closes"` // as in Stats.Closes; nil where there were none
}

// RecentCloses returns the announced closes of each 10 s of the last five
// minutes, the oldest first and the one that has just begun last. It allocates,
// and is meant for a page that people look at.
func (c *Controller) RecentCloses() []Interval {
	all := make([]Interval, 0, recentIntervals)
	for _, growth := range c.closes.recent.Intervals(c.now()) {
		interval := Interval{Start: c.start.Add(time.Duration(growth.Start)), Duration: recentInterval}
		for i, n := range growth.Counters {
			if n > 0 {
				if interval.Closes == nil {
					interval.Closes = make(map[Reason]uint64)
				}
				interval.Closes[c.reasons[i]] = n
			}
		}
		all = append(all, interval)
	}
	return all
}
