package interop

import (
	"os"
	"syscall"
)

// processAttributes makes a child a group of its own, which is told to end when
// the test binary ends in a way that runs no cleanup.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// kill ends a child and its own children.
func kill(p *os.Process) { syscall.Kill(-p.Pid, syscall.SIGKILL) }
