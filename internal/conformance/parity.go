package conformance

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
)

const (
	askHeader               = "X-Ask-For-A-Close"
	reasonAsked core.Reason = "asked"
)

// onAsk closes for every request with askHeader.
func onAsk() core.Option {
	return core.OnMatch(reasonAsked, func(r *http.Request) bool { return r.Header.Get(askHeader) != "" })
}

// testWriting compares every way of writing, over every protocol, in every
// arrangement and placement, with the same program without us.
func (f Framework) testWriting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.txt")
	if err := os.WriteFile(file, large, 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := startUpstream(t)
	for _, a := range arrangements {
		t.Run(a.name, func(t *testing.T) {
			cells := slices.DeleteFunc(writingCells(file, upstream), func(c cell) bool { return c.hurried != a.hurried() })
			app := App{Layer: a.layer, Routes: routes(cells), File: file}
			bare := f.start(t, app, a)
			for _, placement := range a.placements {
				t.Run(placement.String(), func(t *testing.T) {
					app := app
					app.Placement, app.Controller = placement, servertest.NewController(t, onAsk())
					ours := f.start(t, app, a)
					for _, p := range protocols {
						t.Run(p.name, func(t *testing.T) { f.compare(t, cells, comparison{bare, ours, p, a}) })
					}
				})
			}
		})
	}
}

// again is the request that tells whether a connection is still good.
var again = request{method: http.MethodGet, path: "/again"}

func routes(cells []cell) []Route {
	all := []Route{{Method: again.method, Path: again.path, Handler: http.HandlerFunc(write)}}
	for _, c := range cells {
		if c.route.Handler != nil || c.route.Native != NotNative {
			all = append(all, c.route)
		}
	}
	return all
}

func (f Framework) compare(t *testing.T, cells []cell, x comparison) {
	bareLines, ourLines := x.bare.log.n.Load(), x.ours.log.n.Load()
	for _, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			want := x.observe(t, x.bare, c, false, false)
			if !want.first.final && !c.silent {
				t.Fatalf("without us there is no final response:\n%s", want.first.transcript)
			}
			for _, asking := range []bool{false, true} {
				closes := (asking || c.asks) && want.first.final && !x.protocol.clientCloses
				got := x.observe(t, x.ours, c, asking, closes)
				if t.Failed() {
					t.Logf("asking: %v, closes: %v", asking, closes)
				}
				x.unchanged(t, want, got)
				if closes {
					x.closed(t, want, got)
				} else {
					x.kept(t, c, want, got, asking || c.asks)
				}
				if !x.hurried() {
					x.counted(t, c, want, got, closes)
				}
			}
		})
	}
	if x.hurried() {
		return // a slow machine may log more or less
	}
	// Each cell was observed once without us and twice with us.
	tooMany := func() int64 { return x.ours.log.n.Load() - ourLines - 2*(x.bare.log.n.Load()-bareLines) }
	if n := settle(tooMany, 0); n != 0 {
		t.Errorf("the server logged %d lines more than the program without us; the last one:\n%s", n, x.ours.log.last)
	}
}

// settle waits for a counter to become want, and returns what it is at last.
func settle(read func() int64, want int64) int64 {
	for deadline := time.Now().Add(clienttest.Patience); read() != want && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return read()
}
