package pattern

import (
	"strings"
	"testing"
)

// paths returns all paths of up to four of some segments.
func paths() (all []string) {
	segments := []string{"", ".", "..", "...", "a", ".b", "c..", "d.e"}
	all = []string{"", "*", "a", "a/..", "../a"}
	last := []string{""}
	for range 4 {
		var longer []string
		for _, p := range last {
			for _, s := range segments {
				longer = append(longer, p+"/"+s)
			}
		}
		all, last = append(all, longer...), longer
	}
	return all
}

func TestTheFirstSegmentIsThatOfTheCleanedPath(t *testing.T) {
	for _, p := range paths() {
		first, ok := firstSegment(p)
		if !ok {
			continue
		}
		if got, _, _ := strings.Cut(cleanPath(p), "/"); got != first {
			t.Errorf("%q is cleaned to %q; its first segment is said to be %q", p, "/"+cleanPath(p), first)
		}
	}
	for _, p := range []string{"/a", "/a/", "/api/users/7", "/c../d.e", "/a//b", "/a/./b"} {
		if _, ok := firstSegment(p); !ok {
			t.Errorf("the first segment of %q is not known", p)
		}
	}
}

func TestPathsAreCleaned(t *testing.T) {
	for path, want := range map[string]string{
		"": "", "/": "", "/a": "a", "/a/": "a/", "//a": "a", "/a//b": "a/b", "/./a": "a", "/a/.": "a", "/a/./": "a/",
		"/a/..": "", "/a/../": "", "/../a": "a", "/a/../b/": "b/", "/.a": ".a", "/a/..b": "a/..b", "a": "a", "*": "*",
	} {
		if got := cleanPath(path); got != want {
			t.Errorf("%q is cleaned to %q, want %q", path, got, want)
		}
	}
}
