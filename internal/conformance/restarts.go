package conformance

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/restart"
)

// testRestarts holds the framework to losing no request: 3 restarts, or 30 with
// POLITECLOSE_FULL=1.
func (f Framework) testRestarts(t *testing.T) {
	restarts := 3
	if os.Getenv("POLITECLOSE_FULL") == "1" {
		restarts = 30
	}
	wrap := func(ctl *core.Controller, handler http.Handler) http.Handler {
		route := Route{Method: http.MethodPost, Path: "/", Handler: handler}
		return f.New(t, App{Controller: ctl, Placement: Outermost, Layer: Recover, Routes: []Route{route}})
	}
	result := clienttest.Undisturbed(t, clienttest.Watched(func() restart.Result {
		r, err := restart.Run(t.Context(), restart.Config{
			Method:   restart.Politeclose(wrap),
			Clients:  64,
			Think:    2 * time.Millisecond,
			Restarts: restarts,
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}), func(r restart.Result) bool { return r.Lost > 0 })
	if result.Lost != 0 || result.Answered == 0 {
		t.Errorf("of %d requests over %d restarts %d were answered and %d lost: %v",
			result.Requests, result.Restarts, result.Answered, result.Lost, result.Causes)
	}
	t.Logf("%d restarts, %d requests, %d lost; drain median %v, worst %v",
		result.Restarts, result.Requests, result.Lost, result.DrainMedian(), result.DrainWorst())
}
