package overload

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

func config(rule Rule) Config {
	return Config{
		Clients: 30, Think: 10 * time.Millisecond, Service: 10 * time.Millisecond, Workers: 10, Slow: 1,
		Duration: 3 * time.Second, Balancing: RoundRobin, Soft: 4, Hard: 8, Rule: rule,
	}
}

// run runs the experiment and checks its result. On a busy machine the handshakes
// may take as long as it lasts: where there is not enough it is run for longer.
func run(t *testing.T, cfg Config, enough func(Result) bool) Result {
	t.Helper()
	for {
		r, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		check(t, cfg, r)
		if enough(r) || cfg.Duration > clienttest.Patience {
			return r
		}
		cfg.Duration *= 2
	}
}

// evenly says that each replica has its part of the clients, at last.
func evenly(cfg Config) func(Result) bool {
	return func(r Result) bool {
		for _, replica := range r.Seconds[len(r.Seconds)-1].Replicas {
			if replica.Connections != cfg.Clients/Replicas {
				return false
			}
		}
		return true
	}
}

func closed(r Result) bool { return r.Closes > 0 }

// check fails the test unless the counts of a result add up.
func check(t *testing.T, cfg Config, r Result) {
	t.Helper()
	if r.Lost > 0 {
		t.Errorf("%d requests lost, the first to: %s", r.Lost, r.LostTo)
	}
	if r.Requests == 0 || r.LastThird.P99 < r.LastThird.P50 {
		t.Errorf("%d requests, %+v", r.Requests, r.LastThird)
	}
	if got, want := len(r.Seconds), int(cfg.Duration/time.Second); got != want {
		t.Fatalf("%d seconds, want %d", got, want)
	}
	var requests, dials, last int
	for i, s := range r.Seconds {
		dials += s.Dials
		for _, replica := range s.Replicas {
			requests += replica.Requests
			if i >= len(r.Seconds)*2/3 {
				last += replica.Requests
			}
		}
	}
	if last > 0 && r.LastThird.P50 <= 0 {
		t.Errorf("%d requests in the last third, %+v", last, r.LastThird)
	}
	if requests > r.Requests || dials > r.Dials || r.Dials < cfg.Clients {
		t.Errorf("the seconds have %d requests and %d dials, all in all %d and %d", requests, dials, r.Requests, r.Dials)
	}
	if r.Closes < r.Dials-cfg.Clients {
		t.Errorf("%d connections for %d clients, but %d closes", r.Dials, cfg.Clients, r.Closes)
	}
}

func TestWithoutARuleClientsStay(t *testing.T) {
	cfg := config(None())
	r := run(t, cfg, evenly(cfg))
	if r.Closes != 0 || r.Dials != cfg.Clients {
		t.Errorf("%d closes, %d dials", r.Closes, r.Dials)
	}
	if !evenly(cfg)(r) {
		t.Errorf("at last the replicas are %+v", r.Seconds[len(r.Seconds)-1].Replicas)
	}
}

func TestPolitecloseMovesClientsAwayFromTheSlowReplica(t *testing.T) {
	cfg := config(Politeclose())
	cfg.TLS = true
	seconds := 0
	cfg.Progress = func(s Second) {
		if s.Number == 1 {
			seconds = 0
		}
		if seconds++; s.Number != seconds {
			t.Errorf("second %d after %d others", s.Number, seconds-1)
		}
	}
	r := run(t, cfg, closed)
	if seconds != len(r.Seconds) {
		t.Errorf("progress of %d seconds", seconds)
	}
	if r.Closes == 0 {
		t.Error("it closed none")
	}
	if r.DialTime <= 0 {
		t.Errorf("%d dials took %v", r.Dials, r.DialTime)
	}
}

func TestACoinTossCloses(t *testing.T) {
	cfg := config(CoinToss())
	cfg.Balancing = LeastConnections
	if r := run(t, cfg, closed); r.Closes == 0 {
		t.Error("it closed none")
	}
}

func TestBehindHAProxy(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("HAProxy is not installed; .ci/run installs it on Debian")
	}
	cfg := config(None())
	cfg.HAProxy, cfg.Balancing = program, LeastConnections
	if r := run(t, cfg, evenly(cfg)); !evenly(cfg)(r) {
		t.Errorf("at last the replicas are %+v", r.Seconds[len(r.Seconds)-1].Replicas)
	}
}

func TestABalancerThatEndsByItselfIsAnError(t *testing.T) {
	program, err := exec.LookPath("go") // it does not know HAProxy's flags, and is where tests are
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(None())
	cfg.HAProxy, cfg.Duration = program, time.Second
	if _, err := Run(t.Context(), cfg); err == nil {
		t.Error("no error")
	}
}

func TestOneServerAlone(t *testing.T) {
	cfg := config(Politeclose())
	cfg.Clients, cfg.Think, cfg.Soft, cfg.Hard = 8, 0, 2, 4
	r, err := RunAlone(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	check(t, cfg, r)
	if len(r.Seconds[0].Replicas) != 1 {
		t.Errorf("%d replicas", len(r.Seconds[0].Replicas))
	}
}

func TestAnInterruptEndsEverything(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	cause := errors.New("interrupt signal received")
	interrupt(cause)
	if _, err := Run(ctx, config(None())); !errors.Is(err, cause) {
		t.Errorf("the error is %v", err)
	}
	clienttest.ExpectNoGoroutine(t, "overload.(*")
}
