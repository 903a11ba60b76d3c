package interop

import (
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/servertest"
)

// Behind a proxy the 408 of stdlib.RequestTimeoutOnIdleClose is never worse than
// silence: whatever fails has the 408 for its answer, which says that it has not
// run, in place of the proxy's own error.
func TestARequestThatCrossesThe408BehindAProxyIsAnsweredWithIt(t *testing.T) {
	for _, proxy := range proxies() {
		if proxy.http2 || proxy.keepsNone {
			continue
		}
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			cross := func(scene scene) (r result, crossed int) {
				one, first, endFirst := scene.open(t)
				two, second, endSecond := scene.open(t)
				front := servertest.FreeAddress(t)
				b := newBook()
				t.Run("traffic", func(t *testing.T) {
					proxy.start(t, front, first, second)
					startGo(t, traffic{url: "http://" + front + "/", workers: 1, each: 12, think: 5 * time.Millisecond, answer: answer}, b)()
				}) // the proxy has ended, and with it its connections
				endFirst()
				endSecond()
				return b.losses(), one.crossed + two.crossed
			}
			silent, crossed := cross(silentCrossing)
			t.Logf("%d requests crossed a silent close, %d failed: %v", crossed, silent.lost, silent.causes)
			answered, crossed := cross(answeredCrossing)
			t.Logf("%d requests crossed a 408, %d failed: %v", crossed, answered.lost, answered.causes)
			if crossed == 0 {
				t.Error("no request crossed the 408: the traffic proves nothing")
			}
			if others := answered.lost - answered.causes["status 408"]; others > 0 {
				t.Errorf("%d requests failed with something else than the 408: %v", others, answered.causes)
			}
		})
	}
}
