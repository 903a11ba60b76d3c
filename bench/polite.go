package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/core/load"
	"github.com/politeclose/politeclose/promadapter"
	"github.com/politeclose/politeclose/statuspage"
	"github.com/politeclose/politeclose/stdlib"
)

func bare(f framework) arrangement {
	return arrangement{f.alone(), f.alone(), func(application http.HandlerFunc, ends bool) (stack, error) {
		if ends {
			return stack{}, errors.New("a framework alone has no rule that ends a connection")
		}
		return stack{handler: f.serve(nil, application), writesHeader: f.writesHeader}, nil
	}}
}

// polite is politeclose in front of f, on a server that tracks its connections as
// stdlib.Serve does.
func polite(f framework) []arrangement {
	return []arrangement{
		politeWith("drain and routes", f, routes()),
		politeWith("every rule", f, append(routes(), otherRules()...)),
	}
}

// observed is politeclose with all that shows what it does, compared with
// politeclose without.
func observed(f framework) arrangement {
	a := politeWith("drain and routes, observed", f, routes(), func(ctl *core.Controller) {
		ctl.Observe(func(core.Event) {})
		prometheus.NewRegistry().MustRegister(promadapter.NewCollector(ctl))
		statuspage.Handler(ctl)
	})
	a.base = politeName("drain and routes", f)
	return a
}

func politeName(name string, f framework) string { return f.name + ", politeclose: " + name }

func politeWith(name string, f framework, rules []core.Option, prepare ...func(*core.Controller)) arrangement {
	return arrangement{politeName(name, f), f.alone(), func(application http.HandlerFunc, ends bool) (stack, error) {
		ctl, err := core.New(append(rules, core.Logger(slog.New(slog.DiscardHandler)))...)
		if err != nil {
			return stack{}, err
		}
		for _, p := range prepare {
			p(ctl)
		}
		if ends {
			ctl.Drain()
		}
		handler := f.serve(ctl, application)
		return stack{
			handler:      handler,
			writesHeader: f.writesHeader,
			entered:      core.NewEntry(ctl, handler),
			recorded: func(server *http.Server, listener net.Listener) (net.Listener, error) {
				server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
					record := new(core.Connection)
					record.Open(ctl, c)
					return record.Context(ctx)
				}
				return listener, nil
			},
			prepare: func(server *http.Server, listener net.Listener) (net.Listener, error) {
				return stdlib.Listener(listener, ctl), stdlib.Track(server, ctl)
			},
			stop: func() error {
				if s := ctl.Stats(); s.Untracked > 0 || !ends && closes(s) > 0 {
					return fmt.Errorf("%d exchanges were untracked, and %d ended their connection", s.Untracked, closes(s))
				}
				return nil
			},
		}, nil
	}}
}

func closes(s core.Stats) (sum uint64) {
	for _, n := range s.Closes {
		sum += n
	}
	return sum
}

func routes() []core.Option {
	return []core.Option{core.OnRoutes("/login", "POST /admin/{id}", "/internal/")}
}

// otherRules are asked for every response and never end a connection.
func otherRules() []core.Option {
	return []core.Option{
		core.Exempt("/healthz"),
		core.OnAge(time.Hour),
		core.OnRequestCount(math.MaxInt32),
		core.OnStatus(http.StatusRequestEntityTooLarge),
		core.OnMatch("legacy", func(r *http.Request) bool { return r.Header.Get("X-Legacy") != "" }),
		core.OnLoad(load.InFlight(1<<20, 1<<21), load.Connections(1<<20, 1<<21)),
		core.DrainWhen(func() bool { return false }),
	}
}
