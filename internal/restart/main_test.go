package restart

import (
	"os"
	"testing"

	"github.com/politeclose/politeclose/internal/childtest"
)

func TestMain(m *testing.M) {
	if childtest.Kind() != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}
