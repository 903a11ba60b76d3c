// Package faults tests what clients, operators and the machine can do to a server while it serves and drains: that the
// drain ends, that the counts are exact, that nothing is left behind and that no exchange is lost that could have been
// answered. What package stdlib tests already is not tested again; this is where each fault is:
//
//	a client stalls in its header             stdlib: TestConnectionsWithoutARequestAreClosedAfterTheIdleGrace,
//	                                          TestAClientThatIsSlowWithItsHeaderIsNotIdle
//	… in its body                             stall_body_test.go
//	… in reading a large response             stall_response_test.go; stdlib: TestTheLingerEndsThoughTheClientDoesNot
//	half-close after the request              half_close_test.go
//	a pipeline into which a drain begins      pipeline_test.go; stdlib: TestTheLastResponseSurvivesWhatTheClientSentBehindIt
//	a reset in a request or in a response     reset_test.go
//	Connection: close is ignored              stdlib: TestInputAfterTheAnnouncementIsCounted,
//	                                          TestTheLingerEndsThoughTheClientGoesOnSending,
//	                                          TestOverHTTP2AStreamAfterTheAcknowledgedGoAwayIsCounted
//	thousands of idle connections             idle_test.go; stdlib: TestATrackedConnectionCostsLittleMemory
//	two signals, the second forces            stdlib: TestTheSecondSignalForces
//	a signal during the start                 signal_test.go; stdlib: TestAContextThatIsDoneAlreadyDrainsAtOnce
//	Drain and Resume in quick succession      flap_test.go
//	the wall clock jumps                      clock_test.go
//	Accept fails for a while                  accept_test.go
//	Accept fails for good                     stdlib: TestAnErrorOfAcceptDrainsWithoutALameDuckAndIsReturned
//	a handler never returns                   stdlib: TestAtTheTimeoutWhatIsUnderWayIsCut,
//	                                          TestWhatWasCutIsNotCountedAsServed
//	a client never speaks                     silent_test.go; stdlib: TestConnectionsWithoutARequestAreClosedAfterTheIdleGrace,
//	                                          TestAClientThatDoesNotFinishTheHandshakeDoesNotHoldUpTheDrain
//	connections come and go in the lame duck  flood_test.go
package faults

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/politeclose/politeclose/internal/childtest"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/freeport"
)

// full asks for the sizes of the issue. Without it they are what a test of every day may take.
var full = os.Getenv("POLITECLOSE_FULL") != ""

// TestMain runs the tests, or is the process that a test has started.
func TestMain(m *testing.M) {
	if kind := childtest.Kind(); kind != "" {
		os.Exit(runChild(kind))
	}
	// The runtime opens its poller with the first socket and keeps it, as freeport does
	// one of its own: that is no leak.
	if _, err := freeport.Address("127.0.0.1"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(m.Run())
}

// leavesNothing makes the end of the test wait until there are no more goroutines and open files than now. It has to be
// called before anything else registers a clean-up: the last one registered is the first to run.
func leavesNothing(t testing.TB) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	t.Cleanup(func() {
		what := fmt.Sprintf("no more than the %d goroutines and %d files of before", goroutines, files)
		clienttest.Eventually(t, what, func() bool { return runtime.NumGoroutine() <= goroutines && openFiles(t) <= files })
	})
}

func openFiles(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
