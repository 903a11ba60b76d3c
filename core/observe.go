package core

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/fanout"
)

// Observe calls observer with each [Event] from now on, until stop is called.
//
// Nobody waits for it, neither an accept nor a request. Events wait in a queue of
// 16,384, from which one goroutine, which runs only while there are any, hands
// them to all observers in turn. Events that find the queue full are dropped and
// counted in [Stats.EventsDropped]; those of a drain have room of their own. The
// last events of a drain have been handed on before the Serve that drained
// returns, unless that takes longer than a second. While nobody observes, an
// event costs a look at a pointer.
//
// observer is called by one goroutine at a time, and never under a lock. A panic
// in it loses that event, and is logged the first time. It may call stop; a call
// that has begun when stop returns goes on. A nil observer is told nothing.
func (c *Controller) Observe(observer func(Event)) (stop func()) {
	if observer == nil {
		return func() {}
	}
	return c.observers.Listen(func(o observation) { observer(o.event()) })
}

// observation is an Event whose text is still to be made, so that the accepting
// goroutine does not have to.
type observation struct {
	Event
	remote net.Addr
}

func (o observation) event() Event {
	o.Remote = text(o.remote)
	return o.Event
}

func text(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}

type observers struct {
	fanout.Fanout[observation]
	panicked sync.Once
	flagUp   atomic.Bool // the drain flag, as they were told last
}

// lastEvents is how long the end of a drain waits for observers.
const lastEvents = time.Second

func (o *observers) init(c *Controller) {
	c.drain.Always(c.observeFlag)
	o.Panicked = func(v any) {
		o.panicked.Do(func() {
			c.logger.Error("politeclose: an observer panicked and has lost an event; this is said once", "panic", v)
		})
	}
}

// observe tells of a connection. Only where somebody observes does it ask for how
// the connection ended.
func (c *Connection) observe(kind EventKind, end func() (How, time.Duration)) {
	if !c.ctl.observers.Heard() {
		return
	}
	e := Event{
		Kind: kind, Time: time.Now(),
		Connection: c.id, Protocol: c.protocol().String(),
		Age: time.Duration(c.age(c.ctl.now())), Requests: int(c.requests.Load()),
	}
	if mark, _ := c.marked(); mark != 0 {
		e.Reason = c.ctl.reason(mark)
	}
	if end != nil {
		e.How, e.Compliance = end()
	}
	c.ctl.observers.Add(observation{e, c.remote()}, false)
}

// observeUntracked tells of an announcement on a connection without a record.
func (c *Controller) observeUntracked(reason reasonIndex, p protocol) {
	if c.observers.Heard() {
		e := Event{Kind: EventAnnounced, Time: time.Now(), Reason: c.reason(reason), Protocol: p.String()}
		c.observers.Add(observation{e, nil}, false)
	}
}

// observeFlag tells of a change of the drain flag, once: several things may have
// raised it.
func (c *Controller) observeFlag() {
	up := c.drainSince() != 0
	if c.observers.flagUp.Swap(up) == up {
		return
	}
	if up {
		c.observeDrain(EventDrain)
	} else {
		c.observeDrain(EventResumed)
	}
}

// observeDrain tells of a step of a drain.
func (c *Controller) observeDrain(kind EventKind) {
	if c.observers.Heard() {
		c.observers.Add(observation{Event{Kind: kind, Time: time.Now()}, nil}, true)
	}
}
