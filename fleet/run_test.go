package fleet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/fleet"
	"github.com/politeclose/politeclose/internal/clienttest"
)

func TestRunKeepsTheShareKnownAndEndsWithItsContext(t *testing.T) {
	var f town
	a := f.newReplica(t, 10, fleet.Interval(100*time.Millisecond))
	b := f.newReplica(t, 20)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.share.Run(ctx) }()
	clienttest.Eventually(t, "the share is known", func() bool { return a.share.FairShare() == 15 })
	b.hold(40)
	clienttest.Eventually(t, "the share has followed", func() bool { return a.share.FairShare() == 25 })
	cancel(errors.New("over"))
	if err := clienttest.Receive(t, "Run returns", ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	clienttest.ExpectNoGoroutine(t, "politeclose/fleet.(*Share)")
}

// inMemory answers for any number of replicas with as many connections each.
type inMemory struct {
	asked atomic.Int64
	fails atomic.Bool
}

func (m *inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	m.asked.Add(1)
	if m.fails.Load() {
		return nil, errors.New("no route to host")
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Body:       io.NopCloser(strings.NewReader(`{"version":1,"id":"` + r.URL.Host + `","connections":1000,"draining":false}`)),
	}, nil
}

func (m *inMemory) share(t *testing.T, peers int, opts ...fleet.Option) *fleet.Share {
	t.Helper()
	addresses := make([]string, peers)
	for i := range addresses {
		addresses[i] = "replica-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ":80"
	}
	list := func(context.Context) ([]string, error) { return addresses, nil }
	share, err := fleet.NewShare(list, append([]fleet.Option{fleet.Client(&http.Client{Transport: m})}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	ctl, err := core.New()
	if err != nil {
		t.Fatal(err)
	}
	share.Handler(ctl)
	return share
}

func TestThePollsOfAReplicaAreTheSameInAFleetOfAnySize(t *testing.T) {
	for _, replicas := range []int{10, 100, 10_000} {
		synctest.Test(t, func(t *testing.T) {
			var m inMemory
			share := m.share(t, replicas-1)
			ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
			defer cancel()
			share.Run(ctx)
			if got := m.asked.Load(); got < 1550 || got > 1650 {
				t.Errorf("%d replicas: %d peers asked in 1000 s, want 8 every 5 s", replicas, got)
			}
		})
	}
}

func TestAShareThatIsOlderThanThreeIntervalsIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m inMemory
		share := m.share(t, 99, fleet.Margin(0))
		if err := share.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if got := share.FairShare(); got != 889 { // 8 of 9
			t.Errorf("after 15 s the share is %d", got)
		}
		time.Sleep(time.Nanosecond)
		if got := share.FairShare(); got != 0 {
			t.Errorf("after more than 15 s the share is %d", got)
		}
	})
}

func TestWhatAPeerSaidCountsForSixteenIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m inMemory
		share := m.share(t, 9, fleet.Sample(1), fleet.Margin(0))
		for n := range 9 {
			if err := share.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, want := share.FairShare(), (1000*(n+1)+n+1)/(n+2); got != want {
				t.Errorf("after %d polls the share is %d, want %d", n+1, got, want)
			}
		}
		time.Sleep(16*5*time.Second + 1)
		if err := share.Poll(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := share.FairShare(); got != 500 {
			t.Errorf("long after that it is %d, want that of the last poll, 500", got)
		}
	})
}

func TestThatTheShareIsUnknownIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m inMemory
		var log bytes.Buffer
		share := m.share(t, 9, fleet.Logger(slog.New(slog.NewTextHandler(&log, nil))))
		m.fails.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		share.Run(ctx)
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "of 8 peers asked 0 answered") ||
			!strings.Contains(got, "no route to host") {
			t.Errorf("logged: %s", got)
		}
	})
}

func TestASimulationIsRepeatable(t *testing.T) {
	run := func(seed uint64) (order string) {
		var now time.Duration
		var m inMemory
		hosts := make(chan string, 100)
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			hosts <- r.URL.Host
			return m.RoundTrip(r)
		})}
		share := m.share(t, 20, fleet.Client(client), fleet.Sample(1),
			fleet.Simulated(func() time.Duration { return now }, seed))
		for range 10 {
			if err := share.Poll(t.Context()); err != nil {
				t.Fatal(err)
			}
			order += <-hosts + " "
		}
		now += time.Hour
		if got := share.FairShare(); got != 0 {
			t.Errorf("an hour later the share is %d", got)
		}
		return order
	}
	one, again, other := run(1), run(1), run(2)
	if one != again || one == other {
		t.Errorf("the peers were asked in the order\n%s\n%s, and with another seed\n%s", one, again, other)
	}
}

func TestInASimulationPeersHaveAsLongAsTheyTake(t *testing.T) {
	for name, simulated := range map[string]bool{"by the clock": false, "simulated": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m inMemory
				client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					select {
					case <-time.After(3 * time.Second):
						return m.RoundTrip(r)
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				})}
				opts := []fleet.Option{fleet.Client(client)}
				if simulated {
					opts = append(opts, fleet.Simulated(func() time.Duration { return 0 }, 1))
				}
				if err := m.share(t, 9, opts...).Poll(t.Context()); (err == nil) != simulated {
					t.Errorf("peers that take 3 s: %v", err)
				}
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
