// Package instrumentstest is what the tests of all metrics adapters have in
// common.
package instrumentstest

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/instruments"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// Controller returns one with all that there can be a metric of.
func Controller(t testing.TB) *core.Controller {
	t.Helper()
	return servertest.NewController(t,
		core.OnRoutes("/login", "POST /unused"),
		core.Exempt("/healthz"),
		core.OnMatch("legacy", func(*http.Request) bool { return false }),
		core.OnExcess(func() int { return 1000 }),
		core.OnLoad(core.Signal{Name: "pressure", Soft: 10, Hard: 20, Read: func(core.Snapshot) (float64, error) { return 2.5, nil }}),
	)
}

// Use serves with ctl, so that one connection goes after a request for /login, one
// leaves by itself and one stays, and returns when the ends have been counted.
func Use(t testing.TB, ctl *core.Controller) {
	t.Helper()
	address := servertest.ServeTracked(t, servertest.NewHTTP(stdlib.Middleware(ctl)(servertest.Hello)), ctl, servertest.Cleartext)
	told := clienttest.Dial(t, address)
	told.ExpectClosed(told.Get("/login"))
	told.Close()
	left := clienttest.Dial(t, address)
	left.Get("/")
	left.Get("/")
	left.Close()
	clienttest.Dial(t, address).Get("/")
	clienttest.Eventually(t, "two have ended and one is idle", func() bool {
		s := ctl.Stats()
		return s.Ended[core.HowAnnounced] == 1 && s.Ended[core.HowClient] == 1 && s.Idle == 1 && s.FairShare == 1000
	})
}

// Values are some series after Use, by the instrument's name and the labels'
// values. Those of histograms are their counts.
var Values = map[string]map[string]float64{
	"connections":            {"idle": 1, "active": 0, "hijacked": 0},
	"connections.opened":     {"1.1": 3, "2": 0},
	"announcements":          {"route 1.1": 1, "route 2": 0, "legacy 1.1": 0, "drain 2": 0},
	"connections.ended":      {"announced": 1, "client": 1, "forced": 0},
	"connection.age":         {"announced": 1, "client": 1},
	"connection.requests":    {"": 2},
	"compliance":             {"1.1": 1},
	"draining":               {"": 0},
	"drain.phase":            {"announcing": 0, "waiting": 0, "drained": 0},
	"signal":                 {"pressure": 2.5},
	"signal.threshold":       {"pressure soft": 10, "pressure hard": 20},
	"fair_share.connections": {"": 1000},
	"pattern.matches":        {"OnRoutes /login": 1, "OnRoutes POST /unused": 0, "Exempt /healthz": 0},
}

// Find returns the instrument for which named is true.
func Find(t testing.TB, named func(instruments.Instrument) bool) instruments.Instrument {
	t.Helper()
	i := slices.IndexFunc(instruments.All, named)
	if i < 0 {
		t.Fatal("it is not in the table")
	}
	return instruments.All[i]
}

// Many is how many connections a server with many has.
const Many = 20_000

// OpenMany opens connections of ctl that lead nowhere.
func OpenMany(ctl *core.Controller, n int) {
	for range n {
		new(core.Connection).Open(ctl, nil)
	}
}

// Within fails the test if f takes longer than limit each time, for as long as a
// busy machine may take to let it run at once.
func Within(t testing.TB, limit time.Duration, f func()) (best time.Duration) {
	t.Helper()
	best = time.Hour
	for end := time.Now().Add(clienttest.Patience); best > limit && time.Now().Before(end); {
		began := time.Now()
		f()
		best = min(best, time.Since(began))
	}
	if best > limit {
		t.Errorf("it takes %v, want %v at most", best, limit)
	}
	return best
}
