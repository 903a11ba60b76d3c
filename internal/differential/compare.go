package differential

import (
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/core/load"
)

// runs gives every run a label of its own.
var runs atomic.Int64

// compare runs a program without us and with us.
func compare(t testing.TB, p *program) {
	without := newEnv(t, p, nil, runs.Add(1))
	plain := without.runClient(nil)
	without.end()

	with := newEnv(t, p, p.rules.controller(t), runs.Add(1))
	m := newModel(with, plain, without.states)
	got := with.runClient(m)
	m.compare(got)
	m.end()
	m.count(got)
	m.countCloses(got)
	with.end()
	for _, e := range []*env{without, with} {
		eventually(t, "no goroutine is left", func() bool { return !e.hasGoroutine() })
	}
	compareRuns(with, without)
}

// compareTwins runs a program without us, twice.
func compareTwins(t testing.TB, p *program) {
	var envs [2]*env
	var results [2][]*result
	for i := range envs {
		e := newEnv(t, p, nil, runs.Add(1))
		envs[i], results[i] = e, e.runClient(nil)
		e.end()
		eventually(t, "no goroutine is left", func() bool { return !e.hasGoroutine() })
	}
	compareRuns(envs[0], envs[1])
	for i, s := range envs[0].states {
		if s.send == abandoned {
			continue
		}
		a, b := results[0][i], results[1][i]
		if transcript(a) != transcript(b) || a.final != b.final || a.kept != b.kept || a.ended != b.ended || a.goaway != b.goaway {
			t.Errorf("request %d: once the client saw\n%+v\nand once\n%+v", i, a, b)
		}
		if a, b := s.summary(), envs[1].states[i].summary(); !slices.Equal(a, b) && !p.http2 {
			t.Errorf("request %d: once this happened\n%s\nand once\n%s", i, a, b)
		}
	}
}

// summary has the events in an order that does not depend on parallel parts.
func (s *state) summary() (all []string) {
	for _, e := range s.events {
		all = append(all, fmt.Sprintf("%+v", e))
	}
	slices.Sort(all)
	return all
}

// controller returns one with these rules.
func (r rules) controller(t testing.TB) *core.Controller {
	options := []core.Option{core.Logger(slog.New(slog.DiscardHandler)), core.Budget(math.Inf(1), 1<<20)}
	if r.route != "" {
		options = append(options, core.OnRoutes(r.route))
	}
	if r.statuses {
		options = append(options, core.OnStatus(403, 503))
	}
	if r.match {
		options = append(options, core.OnMatch(reasonLegacy, func(r *http.Request) bool { return r.Header.Get("Legacy") != "" }))
	}
	if r.count > 0 {
		options = append(options, core.OnRequestCount(r.count))
	}
	if r.exempt {
		options = append(options, core.Exempt(exemptRoute))
	}
	if r.idle {
		options = append(options,
			core.OnAge(math.MaxInt64),
			core.OnLoad(load.InFlight(1<<20, 1<<21)),
			core.OnExcess(func() int { return 1 << 20 }),
			core.DrainWhen(func() bool { return false }))
	}
	ctl, err := core.New(options...)
	if err != nil {
		t.Fatal(err)
	}
	return ctl
}

// hasGoroutine reports whether a goroutine of the run is left.
func (e *env) hasGoroutine() bool {
	var all strings.Builder
	pprof.Lookup("goroutine").WriteTo(&all, 1)
	return strings.Contains(all.String(), fmt.Sprintf("%q", e.label))
}
