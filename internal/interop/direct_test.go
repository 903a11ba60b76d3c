package interop

import (
	"testing"
	"time"
)

// Straight to the server, whose processes share a listening socket: the next one
// listens before the last one is told to leave.
func TestRestartsUnderADirectClient(t *testing.T) {
	for _, client := range http1Clients() {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			run := func(t *testing.T, way way) result {
				server := newReplica(t, newBook(), true, way.program(t, nil)...)
				return restartUnder(t, way, server, client.start, traffic{url: "http://" + server.address + "/", workers: 16, think: time.Millisecond, answer: answer})
			}
			plain := compare(t, run)
			// The others may notice the close in time, or, like curl, send again.
			if client.name == "Go" {
				expectLoss(t, plain, run)
			}
		})
	}
}

// restartUnder restarts one server under the traffic of one client.
func restartUnder(t *testing.T, way way, server *replica, start startTraffic, to traffic) result {
	t.Helper()
	server.start()
	stop := start(t, to, server.book)
	for range restarts() {
		letTrafficRun(t, server.book)
		if !way.stays {
			server.replace()
		}
	}
	letTrafficRun(t, server.book)
	stop()
	server.stop()
	return server.book.result(t)
}
