package core

import (
	"log/slog"
	"time"
)

// Event is something that happened to a connection, or a step of a drain, as
// [Controller.Observe] tells it. There is none for a request.
type Event struct {
	Kind EventKind
	Time time.Time

	// Connection is the number that [ConnectionID] returns to the connection's
	// handlers. It is 0 in the events of a drain, and where an exchange without a
	// connection record announced.
	Connection uint64
	// Remote is the client's address and port, as the connection has it: no
	// header of a proxy changes it. It is empty where Connection is 0.
	Remote string
	// Protocol is the version of HTTP, "1.0", "1.1", "2" or "3"; "unknown" before
	// the connection's first request, and empty in the events of a drain.
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
	// Compliance is the time from the announcement to the client's own end of the
	// connection. It is 0 where either was not seen.
	Compliance time.Duration
}

// LogValue makes a group of the fields that are not empty, with times in seconds.
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

// How says how a connection ended. It is meant to be a metric's label: there are
// no others than these.
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
