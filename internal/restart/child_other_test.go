//go:build !linux

package restart

func child() int { return 1 }
