package stdlib

import (
	"errors"
	"fmt"
	"time"
)

// ErrDrainTimeout is the error of [Serve] where the drain ended with connections
// still open: at DrainTimeout, or because it was forced. Sockets that only wait
// for their client to close, behind an announced response, do not count.
var ErrDrainTimeout = errors.New("politeclose: the drain ended before the connections did")

// Report says how a drain went. The counts are those of one server, also where it
// has several Serves; ClosedIdle and Forced are those of one Serve.
type Report struct {
	// Duration is the time from the start of the drain to the end of the last
	// connection.
	Duration time.Duration
	// Announced is the number of connections whose end was announced.
	Announced int
	// ClosedIdle is the number of connections closed without a word, because no
	// request came over them that could have been answered with one. A client
	// that sends a request at that moment loses it.
	ClosedIdle int
	// Forced is the number of connections cut at the end with a request under
	// way, or hijacked. An HTTP/2 connection without a request that was told and
	// has not gone is in Announced alone.
	Forced int
	// Hijacked is the number of connections that handlers had taken over when
	// the drain began, or took over during it.
	Hijacked int
	// Served is the number of requests answered while draining.
	Served int
	// InputAfterAnnounce is the number of connections on which the client still
	// sent something after the announcement.
	InputAfterAnnounce int
}

// String returns the report in one line.
func (r Report) String() string {
	return fmt.Sprintf("drained in %v: %d connections announced, %d closed idle, %d forced, %d hijacked; %d requests served, %d connections with input after the announcement",
		r.Duration.Round(100*time.Microsecond), r.Announced, r.ClosedIdle, r.Forced, r.Hijacked, r.Served, r.InputAfterAnnounce)
}
