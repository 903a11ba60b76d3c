package restart

import (
	"os"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// listenerMethods are those whose generations listen for themselves.
func listenerMethods() []Method {
	closed := ListeningBeside(Politeclose(NetHTTP))
	closed.Name = "closed"
	return []Method{
		ListeningBeside(Shutdown()),
		closed,
		PolitecloseBeside(NetHTTP),
		PolitecloseAfter(NetHTTP),
	}
}

// full returns few, or many with POLITECLOSE_FULL=1.
func full(few, many int) int {
	if os.Getenv("POLITECLOSE_FULL") == "1" {
		return many
	}
	return few
}

// connecting is traffic of which somebody is always about to connect.
func connecting(method Method) Config {
	return Config{Method: method, Clients: 128, ConnectAnew: true, Think: 10 * time.Millisecond}
}

// runHere measures in this process.
func runHere(t *testing.T, c Config) Result {
	t.Helper()
	return clienttest.Undisturbed(t, clienttest.Watched(func() Result {
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}), func(r Result) bool { return r.Lost > 0 || r.Refused > 0 })
}

// expectNoneLost also holds the counts to their sums.
func expectNoneLost(t *testing.T, r Result) {
	t.Helper()
	checkCounts(t, r)
	t.Logf("%d restarts, %d requests: %d lost, %d refused, %d delayed, the slowest took %v; drain median %v, worst %v",
		r.Restarts, r.Requests, r.Lost, r.Refused, r.Delayed, r.Slowest, r.DrainMedian(), r.DrainWorst())
	if r.Lost > 0 {
		t.Errorf("lost %d of %d requests: %v", r.Lost, r.Requests, r.Causes)
	}
}

// expectUnnoticed also lets nobody be refused.
func expectUnnoticed(t *testing.T, r Result) {
	t.Helper()
	expectNoneLost(t, r)
	if r.Refused > 0 {
		t.Errorf("%d of %d requests were refused: %v", r.Refused, r.Requests, r.RefusedCauses)
	}
}

func TestAListeningSocketThatIsClosedAtOnceLosesWhoIsConnecting(t *testing.T) {
	traffic := connecting(ListeningBeside(Shutdown()))
	traffic.Restarts = 5
	r, err := Run(t.Context(), traffic)
	if err != nil {
		t.Fatal(err)
	}
	if checkCounts(t, r); r.Lost == 0 {
		t.Errorf("lost none of %d requests: the traffic proves nothing", r.Requests)
	}
}

func TestOneProcessAfterAnotherLosesNobodyWhoHasConnected(t *testing.T) {
	traffic := connecting(PolitecloseAfter(NetHTTP))
	traffic.Restarts = full(5, 50)
	expectNoneLost(t, runHere(t, traffic))
}

func TestKeepAliveClientsDoNotNoticeARestartWithReusePort(t *testing.T) {
	for _, test := range []struct {
		name  string
		http2 bool
		tls   bool
	}{
		{"HTTP/1.1", false, false},
		{"HTTP/1.1 over TLS", false, true},
		{"HTTP/2", true, false},
		{"HTTP/2 over TLS", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			traffic := Config{Method: PolitecloseBeside(NetHTTP), Clients: 64, Think: 2 * time.Millisecond,
				TLS: test.tls, Restarts: full(3, 20)}
			if test.http2 {
				traffic.HTTP2, traffic.Clients = true, 8
			}
			expectUnnoticed(t, runHere(t, traffic))
		})
	}
}
