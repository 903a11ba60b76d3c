//go:build !unix

package stdlib

import "net"

func peek(*net.TCPConn) bool { return false }
