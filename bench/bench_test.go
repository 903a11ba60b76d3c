package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/restart"
)

// TestMain serves in a child process of a test.
func TestMain(m *testing.M) {
	served, err := servesForParent(func(p protocol) []arrangement { return append(arrangements(p), computing()) })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if !served {
		os.Exit(m.Run())
	}
}

// tiny is enough to see that a number moves.
var tiny = sizes{1, time.Millisecond, 5, time.Millisecond, 1, 1, 300 * time.Millisecond}

func TestTheReportHasARowForEverythingThatIsCompared(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := report(t.Context(), &stdout, &stderr, tiny); err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]int)
	for line := range strings.Lines(stdout.String()) {
		if cells := strings.Split(line, " | "); len(cells) > 1 {
			rows[strings.TrimPrefix(cells[0], "| ")]++
		}
	}
	for _, p := range []protocol{http1, http2} {
		if rows[string(p)] != 2 {
			t.Errorf("%d tables for %s, want 2", rows[string(p)], p)
		}
		for _, a := range arrangements(p) {
			if rows[a.name] == 0 {
				t.Errorf("no row for %q", a.name)
			}
		}
	}
	for _, method := range drainMethods(tiny.patience) {
		if rows[method.Name] < 2 {
			t.Errorf("%d rows for %q, want one in each of 2 tables", rows[method.Name], method.Name)
		}
	}
	if strings.Contains(stdout.String(), "NaN") || strings.Contains(stdout.String(), "Inf") {
		t.Errorf("not every number is one:\n%s", &stdout)
	}
}

func TestAFailureLeavesNoHalfReport(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(errors.New("interrupt signal received"))
	var stdout, stderr bytes.Buffer
	if status := run(ctx, []string{"-quick"}, &stdout, &stderr); status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if stdout.Len() > 0 {
		t.Errorf("a report was printed:\n%s", &stdout)
	}
	if !strings.Contains(stderr.String(), "interrupt signal received") {
		t.Errorf("standard error %q does not say why", &stderr)
	}
}

func TestABadArgumentIsAnError(t *testing.T) {
	for _, args := range [][]string{{"-slow"}, {"quick"}} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), args, &stdout, &stderr); status != 2 || stderr.Len() == 0 || stdout.Len() > 0 {
			t.Errorf("%q: exit status %d, standard error %q", args, status, &stderr)
		}
	}
}

// What ends no connection when it is told to is not in place, and its cost would
// be that of nothing.
func TestEveryArrangementEndsConnectionsWhenItIsToldTo(t *testing.T) {
	for _, p := range []protocol{http1, http2} {
		for _, a := range arrangements(p) {
			if a.name == a.base {
				continue
			}
			t.Run(string(p)+" "+a.name, func(t *testing.T) {
				if !endsConnections(t, a, p) {
					t.Error("the connection was kept")
				}
			})
		}
	}
}

// endsConnections sends requests until one of them needs a new connection.
func endsConnections(t *testing.T, a arrangement, p protocol) bool {
	t.Helper()
	installed, err := a.build(writeAnswer, true)
	if err != nil {
		t.Fatal(err)
	}
	server, err := serve(installed, p, installed.handler)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.close(); err != nil {
			t.Error(err)
		}
	}()
	var dials atomic.Int64
	transport := p.newTransport()
	defer transport.CloseIdleConnections()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	for deadline := time.Now().Add(clienttest.Patience); dials.Load() < 2 && time.Now().Before(deadline); {
		if err := server.get(transport, answer); err != nil {
			t.Fatal(err)
		}
	}
	return dials.Load() > 1
}

// slow takes a time that is known.
func slow(delay time.Duration) arrangement {
	return arrangement{"slow", netHTTP.alone(), func(application http.HandlerFunc, _ bool) (stack, error) {
		return stack{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("X-Slow", strings.Repeat("allocated ", len(r.Method)))
			w.Header().Del("X-Slow")
			time.Sleep(delay)
			application(w, r)
		})}, nil
	}}
}

func TestWhatASlowArrangementCostsShows(t *testing.T) {
	const delay = 2 * time.Millisecond
	// Of a single round of a millisecond a busy machine may leave one exchange, and
	// what else it did meanwhile.
	size := tiny
	size.exchangeRounds = 5
	for _, p := range []protocol{http1, http2} {
		costs, err := exchangeCosts(t.Context(), p, []arrangement{bare(netHTTP), slow(delay)}, size)
		if err != nil {
			t.Fatal(err)
		}
		if c := costs["slow"]; c.nanoseconds < float64(delay) || c.allocs < 1 || c.bytes < 30 {
			t.Errorf("%s: an exchange that sleeps %v and allocates is measured as %+v", p, delay, c)
		}
		if c := costs[netHTTP.alone()]; c.nanoseconds <= 0 || c.allocs != 0 {
			t.Errorf("%s: an empty exchange is measured as %+v", p, c)
		}

		r, err := measureThroughput(t.Context(), p, slow(delay), bare(netHTTP), tiny)
		if err != nil {
			t.Fatal(err)
		}
		atATime := map[protocol]float64{http1: 1, http2: streams}[p]
		for _, rate := range r.rate {
			if most := atATime / delay.Seconds(); rate <= 0 || rate > most {
				t.Errorf("%s: %.0f requests/s that sleep %v, want at most %.0f", p, rate, delay, most)
			}
		}
	}
}

// computing takes a processor time that is known.
func computing() arrangement {
	return arrangement{"computing", netHTTP.alone(), func(application http.HandlerFunc, _ bool) (stack, error) {
		return stack{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for before, _ := processorTime(); ; {
				if now, err := processorTime(); err != nil || now-before >= computed {
					break
				}
			}
			application(w, r)
		})}, nil
	}}
}

const computed = 2 * time.Millisecond

func TestTheProcessorTimeIsTheServers(t *testing.T) {
	if _, err := processorTime(); err != nil {
		t.Skip(err)
	}
	for _, c := range allConditions() {
		rates, times, err := measureProcessorTime(t.Context(), c, computing(), bare(netHTTP), tiny)
		if err != nil {
			t.Fatal(err)
		}
		least := float64(computed)
		if c.protocol == http2 {
			least /= streams // those under way at the same time share what the process uses
		}
		for i, used := range times.perRequest {
			if used < least {
				t.Errorf("%v: requests that compute for %v are measured as %.0f ns each", c, computed, used)
			}
			if rates.rate[i] <= 0 || times.basePerRequest[i] <= 0 {
				t.Errorf("%v: %.0f requests/s, %.0f ns alone", c, rates.rate[i], times.basePerRequest[i])
			}
		}
	}
	wrong := arrangement{name: "none"}
	if _, _, err := measureProcessorTime(t.Context(), conditions{http1, 1}, wrong, bare(netHTTP), tiny); err == nil {
		t.Error("what the server's process does not know is measured")
	}
}

func TestWhatIsNotMeantToBeMeasuredIsAnError(t *testing.T) {
	ending := eagerHeader()
	build := ending.build
	ending.build = func(application http.HandlerFunc, _ bool) (stack, error) { return build(application, true) }

	wrong := arrangement{"wrong", netHTTP.alone(), func(http.HandlerFunc, bool) (stack, error) {
		return stack{handler: http.NotFoundHandler()}, nil
	}}
	for _, p := range []protocol{http1, http2} {
		for name, a := range map[string]arrangement{"an ended connection": ending, "another answer": wrong} {
			if _, err := measureThroughput(t.Context(), p, a, bare(netHTTP), tiny); err == nil {
				t.Errorf("%s: %s is measured as throughput", p, name)
			}
		}

		untracked := polite(netHTTP)[0]
		build := untracked.build
		untracked.build = func(application http.HandlerFunc, ends bool) (stack, error) {
			s, err := build(application, ends)
			s.recorded = nil
			return s, err
		}
		if _, err := exchangeCosts(t.Context(), p, []arrangement{untracked}, tiny); err == nil || !strings.Contains(err.Error(), "untracked") {
			t.Errorf("%s: an untracked exchange is measured, error %v", p, err)
		}
	}

	complaining := arrangement{"complaining", netHTTP.alone(), func(http.HandlerFunc, bool) (stack, error) {
		return stack{handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
		})}, nil
	}}
	if _, err := exchangeCosts(t.Context(), http1, []arrangement{complaining}, tiny); err == nil || !strings.Contains(err.Error(), "superfluous") {
		t.Errorf("an exchange of which net/http complains is measured, error %v", err)
	}
}

func TestWhatAMethodLosesAndHowLongItTakesShows(t *testing.T) {
	const delay = 100 * time.Millisecond
	cut := restart.Method{Name: "cut", Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		return shutdownAfter(ctx, server, listener, func() { server.Close() })
	}}
	late := restart.Method{Name: "late", Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		return shutdownAfter(ctx, server, listener, func() { time.Sleep(delay) })
	}}
	// Every client always has a request under way, but for the moment in which all
	// of them have had an answer on a busy machine: once in so many restarts.
	traffic := restart.Config{Clients: 8, Handler: delay}
	size := tiny
	size.restarts = 4
	results, err := restarts(t.Context(), traffic, []restart.Method{cut, late}, size)
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.Lost == 0 || r.Restarts != size.restarts {
		t.Errorf("a server that cuts its connections lost %d of %d requests in %d restarts", r.Lost, r.Requests, r.Restarts)
	}
	if r := results[1]; r.DrainMedian() < delay {
		t.Errorf("a drain of at least %v is measured as %v", delay, r.DrainMedian())
	}
}

func TestKnativesDrainerEndsWhenItIsQuietOrKilled(t *testing.T) {
	for name, test := range map[string]struct {
		traffic        restart.Config
		patience       time.Duration
		atLeast, below time.Duration
		tries          int
	}{
		"quiet": {restart.Config{Clients: 1, Think: 2 * time.Second, Settle: time.Millisecond}, time.Minute, notice, time.Minute, 1},
		// A machine that stands still for the quiet period is quiet.
		"never quiet": {restart.Config{Clients: 4, Think: time.Millisecond}, 2 * notice, 2 * notice, time.Minute, 10},
	} {
		t.Run(name, func(t *testing.T) {
			for try := 1; ; try++ {
				results, err := restarts(t.Context(), test.traffic, []restart.Method{knativeDrainer(test.patience)}, tiny)
				if err != nil {
					t.Fatal(err)
				}
				took := results[0].DrainMedian()
				if took < test.atLeast && try < test.tries {
					continue
				}
				if took < test.atLeast || took >= test.below {
					t.Errorf("the drain took %v, want from %v to %v", took, test.atLeast, test.below)
				}
				return
			}
		})
	}
}

func TestTheLowerBoundIsAnOrderStatistic(t *testing.T) {
	for n, want := range map[int]float64{4: math.NaN(), 5: 1, 7: 1, 8: 2, 21: 7, 101: 42} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(n - i)
		}
		if got := lowerBound(values); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("of 1 to %d the lower bound is %v, want %v", n, got, want)
		}
		if got, want := upperBound(values), float64(n+1)-want; got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("of 1 to %d the upper bound is %v, want %v", n, got, want)
		}
		if got := median(values); got != float64(n/2+1) {
			t.Errorf("of 1 to %d the median is %v, want %d", n, got, n/2+1)
		}
	}
}
