package faults

import (
	"fmt"
	"os"
)

// addressEnv tells a child which server it is about.
const addressEnv = "POLITECLOSE_FAULTS_ADDRESS"

// runChild is the main function of a child process.
func runChild(kind string) (status int) {
	if kind == idleClients {
		return runIdleClients()
	}
	return runSignalled(kind)
}

// failed is how a child reports what a test would.
func failed(what any) (status int) {
	fmt.Fprintln(os.Stderr, what)
	return 1
}
