package servertest

import (
	"testing"

	"github.com/politeclose/politeclose/internal/freeport"
)

// FreeAddress returns an address of the loopback on which nobody listens now, for
// a server that listens there later.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := freeport.Address("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return address
}
