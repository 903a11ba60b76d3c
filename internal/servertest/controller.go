// Package servertest is the server's side of the tests: Controllers, and servers
// on loopback sockets that end with their test.
package servertest

import (
	"log/slog"
	"testing"

	"github.com/politeclose/politeclose/core"
)

// NewController returns a Controller that says nothing, unless an option is a
// Logger.
func NewController(t testing.TB, opts ...core.Option) *core.Controller {
	t.Helper()
	ctl, err := core.New(append([]core.Option{core.Logger(slog.New(slog.DiscardHandler))}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return ctl
}
