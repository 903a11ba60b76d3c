//go:build !linux

package interop

import (
	"os"
	"syscall"
)

func processAttributes() *syscall.SysProcAttr { return nil }

func kill(p *os.Process) { p.Kill() }
