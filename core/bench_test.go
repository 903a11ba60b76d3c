package core_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
)

// everyRule configures all rules so that none of them closes.
func everyRule() []core.Option {
	return []core.Option{
		core.OnRoutes("/login", "POST /admin/{id}", "/internal/"),
		core.Exempt("/healthz"),
		core.OnAge(time.Hour),
		core.OnRequestCount(1 << 30),
		core.OnStatus(http.StatusRequestEntityTooLarge),
		core.OnMatch("legacy", func(r *http.Request) bool { return !r.ProtoAtLeast(1, 1) }), // its own time comes on top
		core.OnLoad(core.Signal{Name: "fake", Soft: 1, Hard: 2, Read: func(core.Snapshot) (float64, error) { return 0, nil }}),
		core.DrainWhen(func() bool { return false }),
	}
}

// BenchmarkExchange measures one exchange that keeps its connection, inside a
// handler of a real tracked server, so that net/http's own writer is below. bench
// has the comparison with httpsnoop.
func BenchmarkExchange(b *testing.B) {
	handler := func(w http.ResponseWriter, r *http.Request) {}
	b.Run("bare handler", func(b *testing.B) {
		inHandler(b, nil, func(w http.ResponseWriter, r *http.Request) { handler(w, r) })
	})
	for _, c := range []struct {
		name string
		opts []core.Option
	}{
		{"drain and routes", []core.Option{core.OnRoutes("/login", "POST /admin/{id}", "/internal/")}},
		{"drain, routes and excess", []core.Option{core.OnRoutes("/login", "POST /admin/{id}", "/internal/"), core.OnExcess(func() int { return 1 << 20 })}},
		{"every rule", everyRule()},
	} {
		for _, over := range []protocol{http1, http2} {
			b.Run(string(over)+"/middleware/"+c.name, func(b *testing.B) {
				ctl := mustNew(b, c.opts)
				over.inHandler(b, ctl, func(w http.ResponseWriter, r *http.Request) {
					r, e := ctl.Begin(r)
					defer e.End()
					handler(e.Writer(w), r)
				})
			})
			b.Run(string(over)+"/entry/"+c.name, func(b *testing.B) {
				ctl := mustNew(b, c.opts)
				entry := core.NewEntry(ctl, http.HandlerFunc(handler))
				over.inHandler(b, ctl, entry.ServeHTTP)
			})
			b.Run(string(over)+"/middleware below the entry/"+c.name, func(b *testing.B) {
				ctl := mustNew(b, c.opts)
				entry := core.NewEntry(ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r, e := ctl.Begin(r)
					defer e.End()
					handler(e.Writer(w), r)
				}))
				over.inHandler(b, ctl, entry.ServeHTTP)
			})
		}
	}
}

func mustNew(b *testing.B, opts []core.Option) *core.Controller {
	b.Helper()
	ctl, err := core.New(opts...)
	if err != nil {
		b.Fatal(err)
	}
	return ctl
}

type protocol string

const (
	http1 protocol = "HTTP1"
	http2 protocol = "HTTP2"
)

func inHandler(b *testing.B, ctl *core.Controller, exchange http.HandlerFunc) {
	http1.inHandler(b, ctl, exchange)
}

// inHandler runs the loop within a handler of a server whose connections have
// records of ctl.
func (over protocol) inHandler(b *testing.B, ctl *core.Controller, exchange http.HandlerFunc) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.ReportAllocs()
		for b.Loop() {
			exchange(w, r)
		}
	}))
	if ctl != nil {
		srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			record := new(core.Connection)
			record.Open(ctl, nil)
			return record.Context(ctx)
		}
	}
	if over == http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL + "/api/users/7")
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
}

// BenchmarkDecisionCost shows that the cost does not depend on how many
// connections there are, nor on how many patterns.
func BenchmarkDecisionCost(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("connections=%d", n), func(b *testing.B) {
			ctl, err := core.New(everyRule()...)
			if err != nil {
				b.Fatal(err)
			}
			open := make([]core.Connection, n)
			for i := range open {
				open[i].Open(ctl, nil)
			}
			benchmarkKeep(b, ctl)
		})
	}
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("patterns=%d", n), func(b *testing.B) {
			patterns := make([]string, n)
			for i := range patterns {
				patterns[i] = fmt.Sprintf("/api/u%04d/{id}", i) // as long as the request's /api/users, and begins like it
			}
			ctl, err := core.New(core.OnRoutes(patterns...))
			if err != nil {
				b.Fatal(err)
			}
			benchmarkKeep(b, ctl)
		})
	}
}

func benchmarkKeep(b *testing.B, ctl *core.Controller) {
	inHandler(b, ctl, func(w http.ResponseWriter, r *http.Request) {
		r, e := ctl.Begin(r)
		defer e.End()
		e.Writer(w)
		_ = r
	})
}

// BenchmarkStats shows what a snapshot costs with many connections: as much as
// with one.
func BenchmarkStats(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprintf("connections=%d", n), func(b *testing.B) {
			ctl := mustNew(b, everyRule())
			open := make([]core.Connection, n)
			for i := range open {
				open[i].Open(ctl, nil)
			}
			b.ReportAllocs()
			for b.Loop() {
				if open := ctl.Stats().Open; open != n {
					b.Fatalf("%d connections are open, want %d", open, n)
				}
			}
		})
	}
}
