package core

import (
	"bytes"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestAtTheEndOfADrainPatternsThatNeverMatchedAreNamedOnce(t *testing.T) {
	var log bytes.Buffer
	c := newController(t, OnRoutes("/users/:id", "/login"), Exempt("/healthz", "/ping"), OnRequestCount(1),
		Logger(slog.New(slog.NewTextHandler(&log, nil))))
	for _, target := range []string{"/login", "/ping", "/users/7"} {
		exchange(c, requestOn(openConnection(c), target), nothing)
	}
	for range 2 {
		c.Drained()
	}
	if said := log.String(); strings.Count(said, "level=WARN") != 1 ||
		!strings.Contains(said, `OnRoutes(\"/users/:id\") Exempt(\"/healthz\")]`) {
		t.Errorf("said: %s", said)
	}
}

func TestWherePatternsMatchedOrThereAreNoneNothingIsSaid(t *testing.T) {
	for _, option := range []Option{OnRoutes("/login"), quiet()} {
		var log bytes.Buffer
		c := newController(t, option, Logger(slog.New(slog.NewTextHandler(&log, nil))))
		exchange(c, requestOn(openConnection(c), "/login"), nothing)
		if c.Drained(); log.Len() > 0 {
			t.Errorf("said: %s", &log)
		}
	}
}

func TestARequestWithoutAURLIsComparedAsOneForTheRoot(t *testing.T) {
	c := newController(t, OnRoutes("/login"), Exempt("/healthz"), OnRequestCount(1))
	r := requestOn(openConnection(c), "/login")
	w := exchange(c, r, func(_ http.ResponseWriter, r *http.Request) { r.URL = nil })
	if !w.announces() {
		t.Error("the request count is not asked")
	}
	if got := c.Stats().InFlight; got != 0 {
		t.Errorf("%d in flight", got)
	}
}

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
