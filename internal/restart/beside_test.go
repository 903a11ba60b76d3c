package restart

import (
	"testing"
	"time"
)

func TestGenerationsThatListenForThemselvesAreCountedExactly(t *testing.T) {
	for _, method := range []Method{ListeningBeside(Shutdown()), ListeningAfter(Shutdown())} {
		traffic := Config{Method: method, Clients: 32, ConnectAnew: true, Think: time.Millisecond, Restarts: 3}
		r, err := Run(t.Context(), traffic)
		if err != nil {
			t.Fatal(err)
		}
		checkCounts(t, r)
		if r.Slowest == 0 {
			t.Error("the slowest answer took no time")
		}
		if method.Listening == After && r.Refused == 0 {
			t.Errorf("none of %d requests was refused although nobody listened between two generations", r.Requests)
		}
	}
}
