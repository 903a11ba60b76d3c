package stdlib

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrDrainTimeout is the error of [Serve] and [Shutdown] where the drain ended with
// connections still open: at the timeout, or because it was forced, which is
// [ErrForced]. Sockets that only wait for their client to close, behind an announced
// response, do not count.
var ErrDrainTimeout = errors.New("politeclose: the drain ended before the connections did")

// ErrForced is an [ErrDrainTimeout] whose reason is that the caller forced the end:
// by the second of the [Signals], by the [ForceContext], or by the context of
// [Shutdown].
var ErrForced error = forcedError{}

type forcedError struct{}

func (forcedError) Error() string {
	return "politeclose: the drain was forced to end before the connections did"
}

func (forcedError) Is(target error) bool { return target == ErrDrainTimeout }

// Report says how a drain went. The counts are those of the connections that came
// over one Serve's listener, or of all that a [Shutdown] has ended.
type Report struct {
	// Duration is the time from the start of the drain to the end of the last
	// connection.
	Duration time.Duration
	// Announced is the number of connections whose end was announced.
	Announced int
	// ClosedIdle is the number of connections closed without a word, because no
	// request came over them that could have been answered with one. A client
	// that sends a request at that moment loses it, or gets the 408 of
	// [RequestTimeoutOnIdleClose].
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
	// AcceptedLate is the number of connections that were still waiting to be
	// accepted when the listener began to close, and were served.
	AcceptedLate int
	// Cut describes what was cut, ten connections of Forced at most.
	Cut []Cut
}

// Cut is a connection in [Report.Cut].
type Cut struct {
	// Route is the method and the path of the request that was under way; "" where
	// that is not known, as on a hijacked connection.
	Route string `json:"route"`
	// Client is the client's address.
	Client string `json:"client"`
	// Age is how long the connection had been open.
	Age time.Duration `json:"age"`
	// Ran is how long the request had been under way; 0 where it is not known.
	Ran time.Duration `json:"ran"`
}

const mostCut = 10 // of Report.Cut

// String returns the report in one line, without what there was none of.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "drained in %v", short(r.Duration))
	separator := ": "
	for _, clause := range []struct {
		count int
		is    string
	}{
		{r.Announced, "connections announced"},
		{r.ClosedIdle, "closed idle"},
		{r.Forced, "forced"},
		{r.Hijacked, "hijacked"},
		{r.AcceptedLate, "accepted late"},
		{r.Served, "requests served"},
		{r.InputAfterAnnounce, "connections with input after the announcement"},
	} {
		if clause.count != 0 {
			fmt.Fprintf(&b, "%s%d %s", separator, clause.count, clause.is)
			separator = ", "
		}
	}
	for _, c := range r.Cut {
		fmt.Fprintf(&b, "; cut %v", c)
	}
	return b.String()
}

// String returns the connection in a few words.
func (c Cut) String() string {
	if c.Route == "" {
		return fmt.Sprintf("%s after %v", c.Client, short(c.Age))
	}
	return fmt.Sprintf("%s from %s after %v", c.Route, c.Client, short(c.Ran))
}

func short(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// LogValue returns the report as a group, without what there was none of.
func (r Report) LogValue() slog.Value {
	attrs := []slog.Attr{slog.Duration("duration", r.Duration)}
	for _, a := range []struct {
		key   string
		count int
	}{
		{"announced", r.Announced},
		{"closed_idle", r.ClosedIdle},
		{"forced", r.Forced},
		{"hijacked", r.Hijacked},
		{"accepted_late", r.AcceptedLate},
		{"served", r.Served},
		{"input_after_announce", r.InputAfterAnnounce},
	} {
		if a.count != 0 {
			attrs = append(attrs, slog.Int(a.key, a.count))
		}
	}
	if len(r.Cut) > 0 {
		attrs = append(attrs, slog.Any("cut", r.Cut))
	}
	return slog.GroupValue(attrs...)
}

// addCut notes that a connection is cut with something under way.
func (r *Report) addCut(cut *record) {
	r.Forced++
	if len(r.Cut) < mostCut {
		route, ran := cut.UnderWay()
		r.Cut = append(r.Cut, Cut{route, cut.Remote(), cut.Age(), ran})
	}
}

// makeReport adds up what the tallies have counted, and the errors.
func (d *drain) makeReport() {
	r := &d.report
	r.Duration = time.Since(d.began)
	d.tracker.each(d, func(t *tally) {
		r.Announced += int(t.announced.Load())
		r.Hijacked += int(t.everHijacked.Load())
		r.Served += int(t.served.Load())
		r.InputAfterAnnounce += int(t.inputAfterAnnounce.Load())
		r.AcceptedLate += int(t.late.Load())
	})
	if d.byOthers {
		d.err = http.ErrServerClosed
		return
	}
	var byOthers error
	if d.own != nil && d.tracker.shutDownByOthers.Load() {
		byOthers = http.ErrServerClosed
	}
	d.err = joined(d.failure, d.err, byOthers)
}

// joined is errors.Join that leaves a single error as it is.
func joined(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
