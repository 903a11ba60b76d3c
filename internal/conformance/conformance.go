// Package conformance holds every adapter to the same behaviour, over real
// sockets: what the client reads, and whether its connection then ends.
//
// A test hands Run the way in which a framework puts a program together:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Framework{New: newApp, Parameter: ":id"})
//	}
//
// The yardstick is the same program without the middleware. A response must be
// that program's, byte for byte, except for the announcement where one is due.
// The server is a tracked one, so that its entry decides whatever stands around
// the adapter's middleware.
package conformance

import (
	"net/http"
	"testing"

	"github.com/politeclose/politeclose/core"
)

// Framework is what Run needs to know about a framework.
type Framework struct {
	// New builds the program. A nil app.Controller is the program without us.
	New func(t testing.TB, app App) http.Handler
	// Parameter is how the router writes a path parameter named id.
	Parameter string
	// WritesHeader says that the engine writes the header of a handler that
	// writes nothing. net/http does not take that twice, so measurements keep
	// it back.
	WritesHeader bool
}

// App is one program: how our middleware stands in it, and its routes.
type App struct {
	Controller *core.Controller
	Placement  Placement
	Layer      Layer
	Routes     []Route
	File       string // for the Native of that name
}

// Placement is where the adapter's Middleware stands.
type Placement int

// The placements. Nowhere leaves it out; App.Controller is for Sensitive then.
const (
	Nowhere   Placement = iota
	Outermost           // above the Layer
	Innermost           // below the Layer
	Twice               // both
)

func (p Placement) String() string {
	return [...]string{"nowhere", "outermost", "innermost", "twice"}[p]
}

// Layer is a middleware of the framework's own that an App has.
type Layer int

// The layers. A framework that has none of a kind uses what its users would.
const (
	NoLayer Layer = iota
	Recover       // turns a panic into a 500; must not log
	Gzip          // compresses where the client accepts it
	Timeout       // of a minute
	Hurry         // Timeout, of 20 ms
)

// Route is one route of an App. Exactly one of Handler and Native is set.
type Route struct {
	Method, Path string
	Handler      http.Handler // to be wrapped as the framework's users wrap a net/http handler
	Native       Native       // to be written in the framework's own words
	Sensitive    Sensitive
}

// Native is a handler in the framework's own words.
type Native int

// The native handlers.
const (
	NotNative  Native = iota
	Nothing           // returns without a word
	StatusOnly        // 202, no body
	JSON              // 200 and {"hello":"world"}, by the JSON helper
	Redirect          // 302 to /elsewhere
	File              // App.File, by the file helper
	Fail              // 409: an error returned or thrown
	Stream            // "one", a flush, "two", by the framework's own flushing
	Expired           // waits for the end of its context, then returns that error, if it can
)

// Sensitive is where a route has the adapter's Sensitive.
type Sensitive int

// The ways to make a route sensitive.
const (
	NotSensitive Sensitive = iota
	OnRoute                // on the route alone
	OnGroup                // on a group (the framework's sub-router) with this one route
)

// Run tests everything about one framework.
func Run(t *testing.T, f Framework) {
	t.Run("how the handler writes", f.testWriting)
	t.Run("why it closes", f.testReasons)
	t.Run("when it is decided", f.testMoments)
	t.Run("what it costs", f.testAllocations)
	t.Run("what a restart loses", f.testRestarts)
}
