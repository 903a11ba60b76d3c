//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is what this process has used so far, the kernel's part included.
func processorTime() (time.Duration, error) {
	var usage syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), err
}
