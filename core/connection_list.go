package core

import (
	"cmp"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ConnectionStat is an open connection in [Controller.Connections].
type ConnectionStat struct {
	ID       uint64        `json:"id"` // as ConnectionID and Event.Connection have it
	Remote   string        `json:"remote"`
	Protocol string        `json:"protocol"` // as Event.Protocol
	State    string        `json:"state"`    // "idle", "active" or "hijacked"
	Age      time.Duration `json:"-"`
	Requests int           `json:"requests"`
	Route    string        `json:"route,omitempty"`  // of the request under way, as Connection.UnderWay has it
	Ran      time.Duration `json:"-"`                // for how long it has been
	Reason   Reason        `json:"reason,omitempty"` // why its end was announced; "" where it was not
}

// connectionLists are what servers know of their connections.
type connectionLists struct {
	mu    sync.Mutex
	lists []*connectionList
}

type connectionList struct{ all iter.Seq[*Connection] }

// ListConnections is for servers: it adds those of a server to
// [Controller.Connections]. all must be safe for concurrent use, and must hold
// no lock while it yields. remove takes them away again.
func (c *Controller) ListConnections(all iter.Seq[*Connection]) (remove func()) {
	added := &connectionList{all}
	lists := &c.lists
	lists.mu.Lock()
	defer lists.mu.Unlock()
	lists.lists = append(slices.Clip(lists.lists), added)
	return func() {
		lists.mu.Lock()
		defer lists.mu.Unlock()
		lists.lists = slices.DeleteFunc(slices.Clone(lists.lists), func(l *connectionList) bool { return l == added })
	}
}

// Connections returns the open connections of all servers that list theirs,
// those with a request under way first and among them the oldest, at most so
// many. Its cost grows with the number of connections; it is meant for a page
// that people look at, not for a scrape.
func (c *Controller) Connections(atMost int) []ConnectionStat {
	var open []*Connection
	for conn := range c.listed() {
		if conn.bits.Load()&(bitOpen|bitHijacked) != 0 {
			open = append(open, conn)
		}
	}
	stats := make([]ConnectionStat, min(len(open), max(atMost, 0)))
	now := c.now()
	var asking sync.WaitGroup // at once, since each may have to be waited for
	for i, conn := range foremost(open, len(stats)) {
		asking.Go(func() { stats[i] = conn.stat(now) })
	}
	asking.Wait()
	return stats
}

// listed are the connections of all servers that list theirs.
func (c *Controller) listed() iter.Seq[*Connection] {
	c.lists.mu.Lock()
	lists := c.lists.lists
	c.lists.mu.Unlock()
	return func(yield func(*Connection) bool) {
		for _, list := range lists {
			for conn := range list.all {
				if !yield(conn) {
					return
				}
			}
		}
	}
}

// foremost orders the connections as Connections returns them. What it orders
// by is read once, since it may change meanwhile.
func foremost(open []*Connection, n int) []*Connection {
	type place struct {
		*Connection
		order int64
	}
	const idle = 1 << 62 // behind all that are not
	places := make([]place, len(open))
	for i, conn := range open {
		places[i] = place{conn, conn.opened}
		if conn.Idle() {
			places[i].order += idle
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.order, b.order) })
	for i := range places[:n] {
		open[i] = places[i].Connection
	}
	return open[:n]
}

func (c *Connection) stat(now int64) ConnectionStat {
	s := ConnectionStat{
		ID: c.id, Remote: c.Remote(), Protocol: c.protocol().String(), State: "active",
		Age: time.Duration(c.age(now)), Requests: int(c.requests.Load()),
	}
	switch {
	case c.Hijacked():
		s.State = "hijacked"
	case c.Idle():
		s.State = "idle"
	}
	s.Route, s.Ran = c.UnderWay()
	s.Reason = c.toldFor(c.bits.Load())
	return s
}

// underWay is what a connection's newest request said it wants, and when the
// connection became active with it. It is kept apart from the request, which is
// its handler's to change.
//
// Of many connections most are idle, and shall cost little: one that becomes idle
// gives its own back for the next one that becomes active. But the first mostKept
// of each shard of the counters keep theirs, so that a server with few connections
// neither gives nor takes. A connection's pointer changes only under the lock, so
// that who reads can tell whether it has gone to another connection.
type underWay struct {
	since atomic.Int64 // since Controller.start, shifted by one; the lowest bit is isNoted
	kept  atomic.Bool  // it stays with its connection

	mu sync.Mutex
	// Of this request where isNoted is set, of an earlier one where not.
	method, target string
}

const isNoted = 1

const (
	mostKept    = 256     // connections of a shard
	longestKept = 1 << 10 // bytes of a method and a target that an idle connection keeps
)

var spareUnderWay = sync.Pool{New: func() any { return new(underWay) }}

// activate notes the time of a request that begins.
func (c *Connection) activate() {
	since := c.ctl.now() << 1
	if u := c.underWay.Load(); u != nil {
		u.since.Store(since)
		return
	}
	u := spareUnderWay.Get().(*underWay)
	u.mu.Lock()
	u.since.Store(since)
	mine := c.underWay.CompareAndSwap(nil, u)
	if mine {
		u.kept.Store(c.shard().KeepsOne(mostKept))
	}
	u.mu.Unlock()
	if !mine { // another goroutine has reported the state as well
		spareUnderWay.Put(u)
	}
}

// deactivate is for a connection that has become idle.
func (c *Connection) deactivate() {
	if u := c.underWay.Load(); u != nil && !u.kept.Load() {
		c.giveBack(u)
	}
}

// giveBackLast is for a connection that does not become active any more.
func (c *Connection) giveBackLast() {
	if u := c.underWay.Load(); u != nil {
		c.giveBack(u)
	}
}

func (c *Connection) giveBack(u *underWay) {
	u.mu.Lock()
	mine := c.underWay.CompareAndSwap(u, nil)
	if mine {
		u.method, u.target = "", ""
		if u.kept.Swap(false) {
			c.shard().Kept.Add(-1)
		}
	}
	u.mu.Unlock()
	if mine {
		spareUnderWay.Put(u)
	}
}

// note notes in u, which was the connection's just now, what its own request wants.
func (c *Connection) note(u *underWay, r *http.Request) {
	u.mu.Lock()
	if c.underWay.Load() == u {
		u.method, u.target = r.Method, r.RequestURI
		if len(u.method)+len(u.target) > longestKept && u.kept.CompareAndSwap(true, false) {
			c.shard().Kept.Add(-1)
		}
		u.since.Or(isNoted)
	}
	u.mu.Unlock()
}

// UnderWay returns for how long a request has been under way on the connection,
// and its method and path, such as "GET /reports". It returns "" and 0 where
// there is none, and no route on HTTP/2, where there may be many.
func (c *Connection) UnderWay() (route string, ran time.Duration) {
	u := c.underWay.Load()
	if u == nil || c.bits.Load()&bitActive == 0 {
		return "", 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if c.underWay.Load() != u {
		return "", 0
	}
	since := u.since.Load()
	if since&isNoted != 0 {
		path, _, _ := strings.Cut(u.target, "?") // what follows may be a secret
		route = u.method + " " + path
	}
	return route, time.Duration(c.ctl.now() - since>>1)
}
