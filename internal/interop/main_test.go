// Package interop shows politeclose to software that we did not write: rolling
// restarts and closes outside a drain, behind real proxies and with real clients.
// Replicas are processes that drain on SIGTERM, requests are POSTs that cannot be
// replayed, retries are off, and both sides count.
//
// The proxies run the files of examples/deploy, with the addresses and paths of
// the test filled in.
package interop

import (
	"fmt"
	"os"
	"testing"
)

// replicaVariable makes the test binary a replica.
const replicaVariable = "POLITECLOSE_INTEROP_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(replicaVariable) != "" {
		os.Exit(replicaMain(os.Args[1:]))
	}
	os.Exit(run(m))
}

// programFolder has the programs that the tests build.
var programFolder string

func run(m *testing.M) (status int) {
	var err error
	if programFolder, err = os.MkdirTemp("", "politeclose-interop"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(programFolder)
	return m.Run()
}

// restarts is how often a test restarts every replica.
func restarts() int {
	if os.Getenv("POLITECLOSE_FULL") != "" {
		return 10
	}
	return 3
}
