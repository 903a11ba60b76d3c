package interop

import (
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/servertest"
)

func TestRollingRestartsBehindAProxy(t *testing.T) {
	for _, proxy := range proxies() {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			run := func(t *testing.T, way way) result {
				return restartBehind(t, way, proxy, way.program(t, proxy.drain(t)))
			}
			if proxy.http2 {
				polite, plain := measure(t, politeclose, run), measure(t, shutdown, run)
				if polite.lost > plain.lost {
					t.Errorf("%d requests were lost, more than the %d with Shutdown", polite.lost, plain.lost)
				}
				if polite.lost > 0 {
					measure(t, noRestart, run) // for the log
				}
				return
			}
			plain := compare(t, run)
			if proxy.shutdownLoses {
				expectLoss(t, plain, run)
			}
		})
	}
}

// restartBehind restarts one replica after the other.
func restartBehind(t *testing.T, way way, proxy proxy, program []string) result {
	t.Helper()
	b := newBook()
	b.probed = proxy.healthChecks
	one := newReplica(t, b, !proxy.healthChecks, program...)
	two := newReplica(t, b, !proxy.healthChecks, program...)
	one.start()
	two.start()
	front := servertest.FreeAddress(t)
	proxy.start(t, front, one.address, two.address)
	stop := startGo(t, traffic{url: "http://" + front + "/", workers: 16, think: 2 * time.Millisecond, answer: answer}, b)
	for range restarts() {
		for _, r := range []*replica{one, two} {
			letTrafficRun(t, b)
			if !way.stays {
				r.restart()
			}
		}
	}
	letTrafficRun(t, b)
	stop()
	one.stop()
	two.stop()
	return b.result(t)
}
