package restart

import (
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/roundtrip"
)

// fewSYNs are not held against the listeners, whose faults drop those of all clients:
// a virtual processor may have stood still with one for too long.
const fewSYNs = 1

// expectNobodyWaited measures apart, and also lets no SYNs be dropped: they are certain
// to be sent again, a second later. The time of an answer would tell of a busy machine
// as well. What the listeners do wrong they do at every restart; a machine that has
// too much to do drops the SYNs of one, and has a second try.
func expectNobodyWaited(t *testing.T, n network, c Config) {
	t.Helper()
	said := measureApart(t, n, c)
	if said.SYNsSentAgain > fewSYNs {
		t.Logf("measured again: %d SYNs were sent again for %d requests", said.SYNsSentAgain, said.Result.Requests)
		said = measureApart(t, n, c)
	}
	expectUnnoticed(t, said.Result)
	if said.SYNsSentAgain > fewSYNs {
		t.Errorf("%d SYNs were sent again for %d requests", said.SYNsSentAgain, said.Result.Requests)
	}
}

func TestNobodyNoticesARestartWithReusePort(t *testing.T) {
	for _, at := range []struct{ name, listen, dial string }{
		{"IPv4", "127.0.0.1", ""},
		{"IPv6", "::1", ""},
		{"IPv4 to both", "::", "127.0.0.1"},
	} {
		t.Run(at.name, func(t *testing.T) {
			traffic := connecting(PolitecloseBeside(NetHTTP))
			traffic.ListenHost, traffic.DialHost = at.listen, at.dial
			traffic.Restarts = full(4, 70)
			expectNobodyWaited(t, network{}, traffic)
		})
	}
}

// A handshake takes its time here, so that there is always one under way.
func TestALongRoundTripChangesNothing(t *testing.T) {
	for _, at := range []struct{ name, listen, dial string }{
		{"IPv4", roundtrip.Here4, roundtrip.Beyond4},
		{"IPv6", roundtrip.Here6, roundtrip.Beyond6},
		{"IPv4 to both", "::", roundtrip.Beyond4},
	} {
		far := network{roundTrip: 20 * time.Millisecond}
		traffic := func(method Method, restarts int) Config {
			traffic := connecting(method)
			traffic.ListenHost, traffic.DialHost = at.listen, at.dial
			traffic.Restarts = restarts
			return traffic
		}
		t.Run(at.name+", with ReusePort", func(t *testing.T) {
			expectNobodyWaited(t, far, traffic(PolitecloseBeside(NetHTTP), full(3, 50)))
		})
		t.Run(at.name+", one process after another", func(t *testing.T) {
			expectNoneLost(t, measureApart(t, far, traffic(PolitecloseAfter(NetHTTP), full(2, 50))).Result)
		})
		t.Run(at.name+", closed at once", func(t *testing.T) {
			r := measureApart(t, far, traffic(listenerMethods()[1], 3)).Result
			if checkCounts(t, r); r.Lost == 0 {
				t.Errorf("lost none of %d requests: the traffic proves nothing", r.Requests)
			}
		})
	}
}

// What waits for a client on the wire waits for its packets as well: the
// announcement, both GOAWAYs, the end behind a last response.
func TestALossyNetworkLosesNoRequest(t *testing.T) {
	networks := []network{{20 * time.Millisecond, 0.01}}
	if full(0, 1) == 1 {
		networks = append(networks, network{200 * time.Millisecond, 0.01})
	}
	for _, n := range networks {
		for _, protocol := range []struct {
			name    string
			http2   bool
			streams int
		}{{"HTTP/1.1", false, 1}, {"HTTP/2", true, 4}} {
			t.Run(protocol.name+", "+n.roundTrip.String(), func(t *testing.T) {
				r := measureApart(t, n, Config{
					Method: Politeclose(NetHTTP), ListenHost: roundtrip.Here4, DialHost: roundtrip.Beyond4,
					Clients: 16, HTTP2: protocol.http2, Streams: protocol.streams,
					Think: 10 * time.Millisecond, Restarts: full(2, 20),
				}).Result
				expectNoneLost(t, r)
				if worst := r.DrainWorst(); worst >= shutdownLimit {
					t.Errorf("a drain took %v, which is its bound", worst)
				}
			})
		}
	}
}
