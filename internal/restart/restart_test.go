package restart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// busy is traffic that keeps requests on the wire at any moment.
func busy(method Method) Config {
	return Config{Method: method, Clients: 32, Think: time.Millisecond, Restarts: 4}
}

func TestPlainShutdownLosesRequestsAndTheCountsAddUp(t *testing.T) {
	for name, tls := range map[string]bool{"cleartext": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			traffic := busy(Shutdown())
			traffic.TLS = tls
			r, err := Run(t.Context(), traffic)
			if err != nil {
				t.Fatal(err)
			}
			if r.Lost == 0 {
				t.Errorf("lost none of %d requests over %d restarts", r.Requests, r.Restarts)
			}
			if len(r.LostAfter) != r.Lost || slices.ContainsFunc(r.LostAfter, func(d time.Duration) bool { return d < 0 }) {
				t.Errorf("%d were lost, so long after the servers were told to leave: %v", r.Lost, r.LostAfter)
			}
			checkCounts(t, r)
			if r.Restarts != traffic.Restarts || len(r.Drains) != traffic.Restarts {
				t.Errorf("%d restarts and %d drains, want %d of each", r.Restarts, len(r.Drains), traffic.Restarts)
			}
		})
	}
}

func TestPolitecloseLosesNone(t *testing.T) {
	for name, tls := range map[string]bool{"cleartext": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			traffic := busy(Politeclose(NetHTTP))
			traffic.TLS = tls
			r := runHere(t, traffic)
			if r.Lost > 0 {
				t.Errorf("lost %d of %d requests: %v", r.Lost, r.Requests, r.Causes)
			}
			checkCounts(t, r)
		})
	}
}

func TestEveryMethodIsCountedExactly(t *testing.T) {
	for _, method := range []Method{KeepAlivesOff(), HeaderThenShutdown()} {
		t.Run(method.Name, func(t *testing.T) {
			traffic := busy(method)
			traffic.Restarts = 2
			r, err := Run(t.Context(), traffic)
			if err != nil {
				t.Fatal(err)
			}
			checkCounts(t, r)
			if shortest := slices.Min(r.Drains); shortest < notice {
				t.Errorf("a drain took %v, and the method waits for %v", shortest, notice)
			}
		})
	}
}

// checkCounts holds the sums that make "lost" exact.
func checkCounts(t *testing.T, r Result) {
	t.Helper()
	sum := func(causes map[string]int) (all int) {
		for _, n := range causes {
			all += n
		}
		return all
	}
	for _, sum := range []struct {
		what        string
		left, right int
	}{
		{"requests = answered + lost + never sent + refused", r.Requests, r.Answered + r.Lost + r.NeverSent + r.Refused},
		{"lost = unseen + executed", r.Lost, r.LostUnseen + r.LostExecuted},
		{"reached = answered + executed", r.Reached, r.Answered + r.LostExecuted},
		{"finished = reached", r.Finished, r.Reached},
		{"lost = sum of the causes", r.Lost, sum(r.Causes)},
		{"refused = sum of the causes", r.Refused, sum(r.RefusedCauses)},
		{"never sent = sum of the causes", r.NeverSent, sum(r.NeverSentCauses)},
	} {
		if sum.left != sum.right {
			t.Errorf("%s: %d, %d", sum.what, sum.left, sum.right)
		}
	}
	if r.Answered == 0 {
		t.Error("no request was answered")
	}
}

func TestAServerClosedUnderItsHandlersCountsThemAsExecuted(t *testing.T) {
	r, err := Run(t.Context(), Config{
		Method:   Method{Name: "close", Serve: closeUnderAHandler},
		Clients:  8,
		Handler:  500 * time.Millisecond, // still runs when its server has been closed
		Restarts: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	checkCounts(t, r)
	if r.LostExecuted == 0 || r.Abandoned == 0 {
		t.Errorf("%d lost though executed, %d handlers abandoned, want some of both", r.LostExecuted, r.Abandoned)
	}
}

func closeUnderAHandler(ctx context.Context, server *http.Server, listener net.Listener) error {
	entered := make(chan struct{})
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case entered <- struct{}{}:
		default:
		}
		handler.ServeHTTP(w, r)
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	<-ctx.Done()
	select {
	case <-entered:
	case <-time.After(time.Second): // the last generation has no clients
	}
	err := server.Close()
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		return serveErr
	}
	return err
}

func TestSlowHandlersTakeTheirShare(t *testing.T) {
	for share, want := range map[float64][]time.Duration{0: {1}, 0.5: {1, 2}, 1: {2}} {
		traffic := run{Config: Config{Handler: 1, SlowHandler: 2, SlowShare: share}}
		var times []time.Duration
		for range 1000 {
			times = append(times, traffic.workTime())
		}
		slices.Sort(times)
		if got := slices.Compact(times); !slices.Equal(got, want) {
			t.Errorf("share %v: handler times %v, want %v", share, got, want)
		}
	}
}

func TestAServerThatEndsByItselfIsAnError(t *testing.T) {
	broken := errors.New("no certificate")
	for name, method := range map[string]Method{
		"before it accepts": {Name: "broken", Serve: func(context.Context, *http.Server, net.Listener) error { return broken }},
		"while it serves": {Name: "broken", Serve: func(_ context.Context, server *http.Server, listener net.Listener) error {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			return errors.Join(broken, serveUntil(ctx, server, listener, func() {}))
		}},
		"when it drains": {Name: "broken", Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
			return errors.Join(broken, serveUntil(ctx, server, listener, func() {}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Run(t.Context(), busy(method)); !errors.Is(err, broken) {
				t.Errorf("error %v, want %v", err, broken)
			}
		})
	}
}

func TestClientsThatDoNotReachANewGenerationAreAnError(t *testing.T) {
	g := &generation{heard: make([]atomic.Bool, 2), steady: make(chan struct{}), ended: make(chan struct{})}
	g.silent.Store(2)
	for range 2 {
		g.hear(1)
	}
	const want = "1 of 2 clients did not reach a new generation within 1ms"
	if err := g.settle(t.Context(), 0, time.Millisecond); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q in it", err, want)
	}
	g.hear(0)
	if err := g.settle(t.Context(), 0, time.Hour); err != nil {
		t.Errorf("with both clients: %v", err)
	}
}

func TestTheEndOfTheContextStopsTheRunAndKeepsItsCounts(t *testing.T) {
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	traffic := busy(Shutdown())
	traffic.Progress = func(r Result) {
		if r.Restarts == 2 {
			cancel(reason)
		}
	}
	r, err := Run(ctx, traffic)
	if !errors.Is(err, reason) {
		t.Errorf("error %v, want %v", err, reason)
	}
	if r.Restarts != 2 {
		t.Errorf("%d restarts, want 2", r.Restarts)
	}
	checkCounts(t, r)
}

func TestARunLeavesNoGoroutineBehind(t *testing.T) {
	for name, traffic := range map[string]Config{
		"HTTP/1.1": busy(Shutdown()),
		"HTTP/2":   {Method: Politeclose(NetHTTP), HTTP2: true, Clients: 4, Restarts: 2},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			if _, err := Run(t.Context(), traffic); err != nil {
				t.Fatal(err)
			}
			clienttest.Eventually(t, fmt.Sprintf("%d goroutines, as before", before), func() bool {
				return runtime.NumGoroutine() <= before
			})
		})
	}
}

func TestABadConfigIsRefusedWithTheAllowedValues(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no method":               {func(c *Config) { c.Method = Method{Name: "mine"} }, `Method "mine" has no Serve`},
		"no client":               {func(c *Config) { c.Clients = 0 }, "Clients is 0: allowed is 1 to 4096"},
		"too many clients":        {func(c *Config) { c.Clients = 5000 }, "Clients is 5000: allowed is 1 to 4096"},
		"no restart":              {func(c *Config) { c.Restarts = 0 }, "Restarts is 0: allowed is 1 to 1000"},
		"a negative think time":   {func(c *Config) { c.Think = -1 }, "Think is -1ns: allowed is 0 or more"},
		"a negative settle time":  {func(c *Config) { c.Settle = -1 }, "Settle is -1ns: allowed is 0 or more"},
		"negative streams":        {func(c *Config) { c.Streams = -1 }, "Streams is -1: allowed is 1 to 250"},
		"too many streams":        {func(c *Config) { c.HTTP2, c.Streams = true, 251 }, "Streams is 251: allowed is 1 to 250"},
		"streams over HTTP/1.1":   {func(c *Config) { c.Streams = 2 }, "Streams is 2: allowed without HTTP2 is 1"},
		"anew over HTTP/2":        {func(c *Config) { c.HTTP2, c.ConnectAnew = true, true }, "ConnectAnew is true: allowed with HTTP2 is false"},
		"a share above the whole": {func(c *Config) { c.SlowShare = 1.5 }, "SlowShare is 1.5: allowed is 0 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			traffic := busy(Shutdown())
			test.change(&traffic)
			_, err := Run(t.Context(), traffic)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestClosingOneListenerLeavesTheAcceptQueueToTheNext(t *testing.T) {
	shared, err := listen("127.0.0.1", 2)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.close()

	waiting, err := net.Dial("tcp", shared.socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	if _, err := waiting.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	if err := shared.generations[0].Close(); err != nil {
		t.Fatal(err)
	}

	if err := shared.generations[1].SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	accepted, err := shared.generations[1].Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	received := make([]byte, len("early"))
	if _, err := io.ReadFull(accepted, received); err != nil || string(received) != "early" {
		t.Errorf("received %q, error %v", received, err)
	}
}

func TestTheBookFindsContradictions(t *testing.T) {
	for name, test := range map[string]struct {
		events func(*book)
		want   string // "" for none
	}{
		"an answered request": {func(b *book) {
			id := b.sent(0)
			b.reached(id)
			b.finished(id)
			b.answered(id, 0, false)
		}, ""},
		"a request lost on its way": {func(b *book) {
			b.lost(b.sent(0), "EOF")
		}, ""},
		"a request that outlives its client's patience": {func(b *book) {
			id := b.sent(0)
			b.lost(id, "timeout")
			b.reached(id)
			b.finished(id)
		}, ""},
		"a request that was never sent": {func(b *book) {
			b.neverSent(b.sent(0), "shutting down")
		}, ""},
		"a request that was refused": {func(b *book) {
			b.refused(b.sent(0), "connection refused")
		}, ""},
		"a request executed twice": {func(b *book) {
			id := b.sent(0)
			for range 2 {
				b.reached(id)
				b.finished(id)
			}
			b.answered(id, 0, false)
		}, "that no client was waiting for"},
		"an answer that no handler gave": {func(b *book) {
			b.answered(b.sent(0), 0, false)
		}, "0 requests reached a handler, but 1 were answered"},
		"a request that its client forgot": {func(b *book) {
			b.sent(0)
		}, "1 requests, but 0 answered and 0 lost"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook()
			test.events(b)
			err := b.contradiction()
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestTheCauseOfALossHasNoAddress(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	_, dialErr := net.Dial("tcp", refused.Addr().String())
	for err, want := range map[error]string{
		dialErr:                "connection refused",
		io.EOF:                 "EOF",
		errors.New("status 5"): "status 5",
		errors.New("GOAWAY; LastStreamID=127, ErrCode"):          "GOAWAY; LastStreamID=N, ErrCode",
		errors.New("stream ID 5; CANCEL"):                        "stream ID N; CANCEL",
		&net.OpError{Op: "read", Net: "tcp", Err: net.ErrClosed}: net.ErrClosed.Error(),
	} {
		if got := cause(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestTheFiguresOfAResult(t *testing.T) {
	var none Result
	if none.LostPerRestart() != 0 || none.DrainMedian() != 0 || none.DrainWorst() != 0 {
		t.Errorf("without a restart: %v, %v, %v", none.LostPerRestart(), none.DrainMedian(), none.DrainWorst())
	}
	r := Result{Restarts: 4, Lost: 10, Drains: []time.Duration{9, 1, 5, 3}}
	if r.LostPerRestart() != 2.5 || r.DrainMedian() != 5 || r.DrainWorst() != 9 {
		t.Errorf("%v, %v, %v, want 2.5, 5ns, 9ns", r.LostPerRestart(), r.DrainMedian(), r.DrainWorst())
	}
}
