package core

import (
	"net"
	"time"

	"github.com/politeclose/politeclose/core/internal/callback"
)

// Remote returns the address of the connection's client, "" where it is not
// known.
//
// A net.Conn of the program's own may wait for its client before it answers, as
// one of the PROXY protocol does for its header, and may panic once it is closed.
// It is waited for 20 ms at most; who accepts connections does not ask.
func (c *Connection) Remote() string { return remote(c.conn) }

func remote(conn net.Conn) string {
	if conn == nil {
		return ""
	}
	answer := make(chan string, 1)
	go func() {
		address := ""
		defer func() {
			_ = recover()
			answer <- address
		}()
		if a := conn.RemoteAddr(); a != nil {
			address = a.String()
		}
	}()
	enough := time.NewTimer(callback.Patience)
	defer enough.Stop()
	select {
	case address := <-answer:
		return address
	case <-enough.C:
		return ""
	}
}
