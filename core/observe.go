package core

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core/internal/fanout"
)

// Event is something that happened to a connection, or a step of a drain, as
// [Controller.Observe] tells it. There is none for a request.
type Event struct {
	Kind EventKind
	Time time.Time

	// Connection is the number that [ConnectionID] returns to the connection's
	// handlers. It is 0 in the events of a drain, and where an exchange without
	// a connection record announced.
	Connection uint64
	// Remote is the client's address and port, as the connection has it: no
	// header of a proxy changes it. It is empty where Connection is 0, and where
	// the net.Conn does not say within 20 ms, as one that waits for the PROXY
	// protocol's header.
	Remote string
	// Protocol is the version of HTTP, "1.0", "1.1", "2" or "3"; "unknown"
	// before the connection's first request, and empty in the events of a
	// drain.
	Protocol string
	// Reason says why the connection's end was announced. It is empty where it
	// was not.
	Reason Reason
	// How says how a connection ended; it is empty before that.
	How How
	// Age is for how long the connection has been open, and Requests how many
	// requests came over it.
	Age      time.Duration
	Requests int
	// Compliance is the time from the announcement to the client's own end of
	// the connection. It is 0 where either was not seen.
	Compliance time.Duration
}

// LogValue makes a group of the fields that are not empty, with times in
// seconds.
func (e Event) LogValue() slog.Value {
	fields := []slog.Attr{slog.String("kind", string(e.Kind))}
	add := func(given bool, field slog.Attr) {
		if given {
			fields = append(fields, field)
		}
	}
	add(e.Connection != 0, slog.Uint64("connection", e.Connection))
	add(e.Remote != "", slog.String("remote", e.Remote))
	add(e.Protocol != "", slog.String("protocol", e.Protocol))
	add(e.Reason != "", slog.String("reason", string(e.Reason)))
	add(e.How != "", slog.String("how", string(e.How)))
	add(e.Age != 0, slog.Float64("age", e.Age.Seconds()))
	add(e.Requests != 0, slog.Int("requests", e.Requests))
	add(e.Compliance != 0, slog.Float64("compliance", e.Compliance.Seconds()))
	return slog.GroupValue(fields...)
}

// EventKind says what an [Event] tells of.
type EventKind string

// The kinds of events. Those of one connection come in this order, and so do
// those of a drain.
const (
	EventAccepted  EventKind = "accepted"  // a connection was accepted
	EventAnnounced EventKind = "announced" // its end was announced: what Stats.Closes counts
	EventGone      EventKind = "gone"      // its socket is closed

	EventDrain          EventKind = "drain"           // the drain flag went up
	EventResumed        EventKind = "resumed"         // it was taken back
	EventListenerClosed EventKind = "listener_closed" // a server accepts no more connections
	EventDrained        EventKind = "drained"         // its last connection has gone, or its patience
)

// How says how a connection ended. It is meant to be a metric's label: there
// are no others than these.
type How string

// How a connection ended.
const (
	HowAnnounced How = "announced" // its end had been announced to the client
	HowClient    How = "client"    // the client closed it, or had asked for it
	HowIdle      How = "idle"      // closed without a word while no request was under way
	HowForced    How = "forced"    // cut with a request under way, or hijacked, because a drain had to end
	HowError     How = "error"     // reset by the client, or closed by net/http in the middle of a request
	HowHandler   How = "handler"   // closed by the handler that had hijacked it
	HowUnknown   How = "unknown"   // the server does not see its connections' ends: those that stdlib.Listener did not make
)

var allHow = [...]How{HowAnnounced, HowClient, HowIdle, HowForced, HowError, HowHandler, HowUnknown}

// protocol is the version of HTTP that a connection speaks, as its first
// request has it.
type protocol uint32

const (
	protocolUnknown protocol = iota
	protocolHTTP10
	protocolHTTP11
	protocolHTTP2
	protocolHTTP3
)

// protocolNames are the values of OpenTelemetry's network.protocol.version.
var protocolNames = [...]string{"unknown", "1.0", "1.1", "2", "3"}

func (p protocol) String() string { return protocolNames[p] }

func protocolOf(major, minor int) protocol {
	switch {
	case major == 1 && minor == 0:
		return protocolHTTP10
	case major == 1:
		return protocolHTTP11
	case major == 2:
		return protocolHTTP2
	case major == 3:
		return protocolHTTP3
	}
	return protocolUnknown
}

// Observe calls observer with each [Event] from now on, until stop is called.
//
// Nobody waits for it, neither an accept nor a request. Events wait in a queue
// of 16,384, from which one goroutine, which runs only while there are any,
// hands them to all observers in turn. Events that find the queue full are
// dropped and counted in [Stats.EventsDropped]; those of a drain have room of
// their own. The last events of a drain have been handed on before the Serve
// that drained returns, unless that takes longer than a second. While nobody
// observes, an event costs a look at a pointer.
//
// observer is called by one goroutine at a time, and never under a lock. A
// panic in it loses that event, and is logged the first time. It may call stop;
// a call that has begun when stop returns goes on. A nil observer is told
// nothing.
func (c *Controller) Observe(observer func(Event)) (stop func()) {
	if observer == nil {
		return func() {}
	}
	return c.observers.Listen(func(o observation) { observer(o.Event) })
}

// observation is an Event whose client is still to be asked for, so that the
// accepting goroutine does not have to.
type observation struct {
	Event
	conn net.Conn
}

func (o observation) complete() observation {
	o.Remote = remote(o.conn)
	return o
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
	o.Complete = observation.complete
	o.Panicked = func(v any) {
		o.panicked.Do(func() {
			c.logger.Error("politeclose: an observer panicked and has lost an event; this is said once", "panic", v)
		})
	}
}

// observe tells of a connection with these bits. Only where somebody observes does
// it ask for how the connection ended.
func (c *Connection) observe(kind EventKind, bits uint32, end func() (How, time.Duration)) {
	if !c.ctl.observers.Heard() {
		return
	}
	e := Event{
		Kind: kind, Time: time.Now(),
		Connection: c.id, Protocol: c.protocol().String(),
		Age: time.Duration(c.age(c.ctl.now())), Requests: int(c.requests.Load()),
	}
	e.Reason = c.toldFor(bits)
	if end != nil {
		e.How, e.Compliance = end()
	}
	c.ctl.observers.Add(observation{e, c.conn}, false)
}

// toldFor returns why the end of a connection with these bits was announced, ""
// where it was not: a mark alone says only that the next response will.
func (c *Connection) toldFor(bits uint32) Reason {
	if mark, _ := c.marked(); mark != 0 && bits&bitAnnounced != 0 {
		return c.ctl.reason(mark)
	}
	return ""
}

// observeUntracked tells of an announcement on a connection without a record.
func (c *Controller) observeUntracked(reason reasonIndex, p protocol) {
	if c.observers.Heard() {
		e := Event{Kind: EventAnnounced, Time: time.Now(), Reason: c.reason(reason), Protocol: p.String()}
		c.observers.Add(observation{e, nil}, false)
	}
}

// observeFlag tells of a change of the drain flag, once: several things may
// have raised it.
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
