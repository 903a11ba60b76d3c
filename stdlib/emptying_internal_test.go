package stdlib

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/politeclose/politeclose/core"
)

// A connection is off the list a moment after it has gone, and a drain may be forced
// to end in that moment.
func TestAConnectionThatHasGoneByItselfIsNotCut(t *testing.T) {
	for name, test := range map[string]struct {
		gone       uint32
		want       error
		closedIdle int
	}{
		"one that is open": {wasNew | goneSocket, ErrForced, 1}, // of another type, whose socket nobody sees
		"one that is gone": {wasNew | goneBoth, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ctl, err := core.New(core.Logger(slog.New(slog.DiscardHandler)))
			if err != nil {
				t.Fatal(err)
			}
			srv := new(http.Server)
			tracked, err := track(srv, ctl)
			if err != nil {
				t.Fatal(err)
			}
			server, _ := tcpPair(t)
			r := tracked.open(t.Context(), server)
			r.SetState(http.StateNew)
			r.gone.Store(test.gone)
			d := newDrain(srv, tracked, &serveConfig{force: context.Background()})
			r.tally.drain.Store(d)
			d.verdict = ErrForced
			d.cutWhatIsLeft()
			if d.err != test.want || d.report.ClosedIdle != test.closedIdle || d.report.Forced != 0 {
				t.Errorf("%v, %v; want %v and %d closed idle", d.report, d.err, test.want, test.closedIdle)
			}
		})
	}
}
