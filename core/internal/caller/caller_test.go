package caller

import (
	"strings"
	"testing"
)

func TestTheFirstCallerOutsideIsFound(t *testing.T) {
	var found string
	func() { found = Outside("no such prefix").Function }()
	if !strings.HasSuffix(found, "TestTheFirstCallerOutsideIsFound.func1") {
		t.Errorf("without a prefix that fits found %s", found)
	}
	if found = Outside("github.com/politeclose/politeclose/core/internal/caller.").Function; found != "testing.tRunner" {
		t.Errorf("outside this package found %s", found)
	}
}
