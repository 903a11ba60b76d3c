package stdlib_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/childtest"
	"github.com/politeclose/politeclose/internal/clienttest"
)

// TestMain runs the tests, or is the server of signal_test.go. After the tests
// nothing of the package may be running.
func TestMain(m *testing.M) {
	if childtest.Kind() != "" {
		os.Exit(child())
	}
	// Tests that are parallel wait most of their time, and need no processor for it.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	code := m.Run()
	const ours = "politeclose/stdlib."
	for end := time.Now().Add(clienttest.Patience); len(clienttest.Goroutines(ours)) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "a goroutine is left:\n%s\n", clienttest.Goroutines(ours)[0])
			os.Exit(1)
		}
	}
	os.Exit(code)
}
