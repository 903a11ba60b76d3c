package fleet_test

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/fleet"
)

func TestABadArgumentIsAnErrorThatNamesIt(t *testing.T) {
	peers := func(context.Context) ([]string, error) { return nil, nil }
	for _, test := range []struct {
		option fleet.Option
		want   string
	}{
		{fleet.Sample(0), "Sample: 0 is not allowed; it must be from 1 to 64"},
		{fleet.Sample(-8), "Sample: -8"},
		{fleet.Sample(65), "Sample: 65"},
		{fleet.Interval(0), "Interval: 0s is not allowed; it must be from 100ms to 1m0s"},
		{fleet.Interval(99 * time.Millisecond), "Interval: 99ms"},
		{fleet.Interval(time.Hour), "Interval: 1h0m0s"},
		{fleet.Margin(-0.01), "Margin: -0.01 is not allowed; it must be from 0 to 1"},
		{fleet.Margin(1.1), "Margin: 1.1"},
		{fleet.Margin(math.NaN()), "Margin: NaN"},
		{fleet.Margin(math.Inf(1)), "Margin: +Inf"},
		{fleet.BearerToken(""), "BearerToken: the token is empty"},
		{fleet.BearerToken("a\r\nHost: b"), "BearerToken: the token has characters"},
		{fleet.Endpoint("ftp", "/fleet"), `Endpoint: the scheme "ftp"`},
		{fleet.Endpoint("", "/fleet"), `Endpoint: the scheme ""`},
		{fleet.Endpoint("https", "fleet"), `Endpoint: the path "fleet"`},
		{fleet.Client(nil), "Client: the client is nil"},
		{fleet.Logger(nil), "Logger: the logger or its handler is nil"},
		{fleet.Logger(new(slog.Logger)), "Logger: the logger or its handler is nil"},
		{fleet.Simulated(nil, 1), "Simulated: the clock function is nil"},
		{nil, "option 2 is nil"},
	} {
		share, err := fleet.NewShare(peers, fleet.Sample(1), test.option)
		if share != nil || err == nil || !strings.HasPrefix(err.Error(), "politeclose: "+test.want) {
			t.Errorf("the error is %v, want %q", err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "Host: b") {
			t.Errorf("the error shows the token: %v", err)
		}
	}
	if _, err := fleet.NewShare(nil); err == nil || !strings.Contains(err.Error(), "peers function is nil") {
		t.Errorf("without peers: %v", err)
	}
}

func TestTheClientOfTheCallerStaysAsItIs(t *testing.T) {
	client := &http.Client{}
	if _, err := fleet.NewShare(func(context.Context) ([]string, error) { return nil, nil }, fleet.Client(client)); err != nil {
		t.Fatal(err)
	}
	if client.CheckRedirect != nil {
		t.Error("it has got a CheckRedirect")
	}
}
