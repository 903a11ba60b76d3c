package core

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestABadArgumentIsAnErrorThatNamesOptionValueAndWhatIsAllowed(t *testing.T) {
	read := func(Snapshot) (float64, error) { return 0, nil }
	for _, c := range []struct {
		option Option
		names  []string
	}{
		{nil, []string{"option 2 is nil"}},
		{OnAge(0), []string{"OnAge", "0s", "greater than 0"}},
		{OnAge(-time.Second), []string{"OnAge", "-1s"}},
		{OnRequestCount(0), []string{"OnRequestCount", "0 is not allowed", "from 1"}},
		{OnRequestCount(-5), []string{"OnRequestCount", "-5"}},
		{OnStatus(), []string{"OnStatus", "200 to 599"}},
		{OnStatus(200, 101), []string{"OnStatus", "101", "200 to 599"}},
		{OnStatus(600), []string{"OnStatus", "600"}},
		{OnMatch("", always), []string{"OnMatch", "empty"}},
		{OnMatch(ReasonClient, nil), []string{"OnMatch", "nil"}},
		{OnMatch(ReasonAge, always), []string{"OnMatch", `"age"`, "ReasonClient"}},
		{OnMatch("caf\xe9", always), []string{"OnMatch", `"caf\xe9"`, "UTF-8"}},
		{OnRoutes("/caf\xe9"), []string{"OnRoutes", `"/caf\xe9"`, "UTF-8", "%E9"}},
		{Exempt("/health", "/users/{caf\xe9:[0-9]+}"), []string{"Exempt", `\xe9`, "UTF-8"}},
		{OnLoad(Signal{"\xff", 1, 2, read}), []string{"OnLoad", `"\xff"`, "UTF-8"}},
		{OnLoad(), []string{"OnLoad", "no signal"}},
		{OnLoad(Signal{Soft: 1, Hard: 2, Read: read}), []string{"OnLoad", "no name"}},
		{OnLoad(Signal{Name: "x", Soft: 1, Hard: 2}), []string{"OnLoad", `"x"`, "Read"}},
		{OnLoad(Signal{"x", 2, 2, read}), []string{"OnLoad", `"x"`, "soft 2", "less than hard"}},
		{OnLoad(Signal{"x", math.NaN(), 2, read}), []string{"OnLoad", `"x"`, "NaN"}},
		{OnLoad(Signal{"x", 1, 2, read}, Signal{"x", 1, 2, read}), []string{"OnLoad", `"x"`, "twice"}},
		{OnExcess(nil), []string{"OnExcess", "nil"}},
		{Simulated(nil, 1), []string{"Simulated", "nil"}},
		{DrainWhen(nil), []string{"DrainWhen", "nil"}},
		{DrainDelay(-1), []string{"DrainDelay", "-1ns", "0 or more"}},
		{DrainSpread(-1), []string{"DrainSpread", "-1ns", "0 or more"}},
		{Budget(0, 1), []string{"Budget", "0 closes", "greater than 0"}},
		{Budget(math.NaN(), 1), []string{"Budget", "NaN"}},
		{Budget(-1, 1), []string{"Budget", "-1"}},
		{Budget(1, 0), []string{"Budget", "burst of 0", "at least 1"}},
		{Logger(nil), []string{"Logger", "nil"}},
		{Logger(new(slog.Logger)), []string{"Logger", "handler", "nil"}},
	} {
		ctl, err := New(quiet(), c.option)
		if err == nil || ctl != nil {
			t.Errorf("%v: accepted", c.names)
			continue
		}
		for _, name := range append(c.names, "politeclose: ") {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%v: the error does not say %q: %v", c.names, name, err)
			}
		}
	}
}

func TestASignalThatIsUnavailableIsAnError(t *testing.T) {
	_, err := New(OnLoad(Signal{"x", 1, 2, func(Snapshot) (float64, error) { return 0, ErrSignalUnavailable }}))
	if !errors.Is(err, ErrSignalUnavailable) || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("%v", err)
	}
}

func TestAnUnlimitedBudget(t *testing.T) {
	c := newController(t, Budget(math.Inf(1), 1), OnRequestCount(1))
	for range 1000 {
		if !exchange(c, requestOn(openConnection(c), "/"), nothing).announces() {
			t.Fatal("held back")
		}
	}
}

func TestTheNumberOfReasonsIsBounded(t *testing.T) {
	var options []Option
	for i := range 300 {
		options = append(options, OnMatch(Reason("r"+strings.Repeat("x", i)), func(*http.Request) bool { return false }))
	}
	if _, err := New(options...); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%v", err)
	}
}

func ExampleOnRoutes() {
	_, err := New(OnRoutes("POST /login", "/admin/", "/users/{id:[0-9]+}"))
	fmt.Println(err)
	_, err = New(OnRoutes("login"))
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// true
}
