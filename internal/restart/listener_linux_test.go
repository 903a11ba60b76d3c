package restart

import (
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/roundtrip"
)

// expectNobodyWaited also lets no SYN be dropped: it is certain to be sent again, a
// second later. The time of an answer would tell of a busy machine as well.
func expectNobodyWaited(t *testing.T, said outcome) {
	t.Helper()
	expectUnnoticed(t, said.Result)
	if said.SYNsSentAgain > 0 {
		t.Errorf("%d SYNs were sent again for %d requests", said.SYNsSentAgain, said.Result.Requests)
	}
}

func TestNobodyNoticesARestartWithReusePort(t *testing.T) {
	for _, network := range []struct{ name, listen, dial string }{
		{"IPv4", "127.0.0.1", ""},
		{"IPv6", "::1", ""},
		{"IPv4 to both", "::", "127.0.0.1"},
	} {
		t.Run(network.name, func(t *testing.T) {
			traffic := connecting(PolitecloseBeside(NetHTTP))
			traffic.ListenHost, traffic.DialHost = network.listen, network.dial
			traffic.Restarts = full(4, 70)
			expectNobodyWaited(t, measureApart(t, 0, traffic))
		})
	}
}

// A handshake takes its time here, so that there is always one under way.
func TestALongRoundTripChangesNothing(t *testing.T) {
	for _, network := range []struct{ name, listen, dial string }{
		{"IPv4", roundtrip.Here4, roundtrip.Beyond4},
		{"IPv6", roundtrip.Here6, roundtrip.Beyond6},
		{"IPv4 to both", "::", roundtrip.Beyond4},
	} {
		measure := func(t *testing.T, method Method, restarts int) outcome {
			traffic := connecting(method)
			traffic.ListenHost, traffic.DialHost = network.listen, network.dial
			traffic.Restarts = restarts
			return measureApart(t, 20*time.Millisecond, traffic)
		}
		t.Run(network.name+", with ReusePort", func(t *testing.T) {
			expectNobodyWaited(t, measure(t, PolitecloseBeside(NetHTTP), full(3, 50)))
		})
		t.Run(network.name+", one process after another", func(t *testing.T) {
			expectNoneLost(t, measure(t, PolitecloseAfter(NetHTTP), full(2, 50)).Result)
		})
		t.Run(network.name+", closed at once", func(t *testing.T) {
			r := measure(t, listenerMethods()[1], 3).Result
			if checkCounts(t, r); r.Lost == 0 {
				t.Errorf("lost none of %d requests: the traffic proves nothing", r.Requests)
			}
		})
	}
}
