package core

import (
	"slices"
	"testing"
)

func TestAStatusSetHasWhatWasAddedAndNothingElse(t *testing.T) {
	added := []int{200, 263, 264, 413, 599}
	var s statusSet
	for _, code := range added {
		s.add(code)
	}
	for code := -1000; code <= 2000; code++ {
		if s.has(code) != slices.Contains(added, code) {
			t.Errorf("has(%d) is %v", code, s.has(code))
		}
	}
}
