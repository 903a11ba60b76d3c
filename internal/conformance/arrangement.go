package conformance

import (
	"net/http"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// arrangement is what stands around the handlers beside the adapter.
type arrangement struct {
	name   string
	layer  Layer
	around func(*core.Controller, http.Handler) http.Handler // the engine
	// hurries says that around answers in the engine's place.
	hurries    bool
	placements []Placement
}

var arrangements = []arrangement{
	{name: "alone", placements: []Placement{Outermost, Twice}},
	{name: "with Recover", layer: Recover, placements: everywhere},
	{name: "with gzip", layer: Gzip, placements: everywhere},
	{name: "with a timeout", layer: Timeout, placements: everywhere},
	{name: "with a timeout that fires", layer: Hurry, placements: everywhere},
	{name: "below http.TimeoutHandler", around: timeoutHandler, placements: []Placement{Outermost}},
	{name: "below http.TimeoutHandler that fires", around: overtaking, hurries: true, placements: []Placement{Outermost}},
	{name: "below stdlib.Middleware", around: stdlibMiddleware, placements: []Placement{Outermost}},
}

var everywhere = []Placement{Outermost, Innermost, Twice}

// HurryTimeout is the timeout of the Hurry layer.
const HurryTimeout = 20 * time.Millisecond

func timeoutHandler(_ *core.Controller, h http.Handler) http.Handler {
	return http.TimeoutHandler(h, time.Minute, "too late")
}

func overtaking(_ *core.Controller, h http.Handler) http.Handler {
	return overtake(h, HurryTimeout)
}

func stdlibMiddleware(ctl *core.Controller, h http.Handler) http.Handler {
	return stdlib.Middleware(ctl)(h)
}

func (a arrangement) hurried() bool { return a.layer == Hurry || a.hurries }

// start serves the program, arranged.
func (f Framework) start(t testing.TB, app App, a arrangement) *server {
	t.Helper()
	handler := f.New(t, app)
	if a.around != nil {
		handler = a.around(app.Controller, handler)
	}
	return serve(t, handler, app.Controller)
}
