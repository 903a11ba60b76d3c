package stdlib_test

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// longAgo is net/http's way to end a read that is under way.
var longAgo = time.Unix(1, 0)

func readable(server net.Conn) error { _, err := server.Read(make([]byte, 1)); return err }
func writable(server net.Conn) error { _, err := server.Write([]byte("x")); return err }

func TestADeadlineThatIsClearedNoLongerHolds(t *testing.T) {
	type setter func(net.Conn, time.Time) error
	both, read, write := setter(net.Conn.SetDeadline), setter(net.Conn.SetReadDeadline), setter(net.Conn.SetWriteDeadline)
	for _, c := range []struct {
		name       string
		set, clear setter
		try        func(net.Conn) error
	}{
		{"SetReadDeadline", read, read, readable},
		{"SetWriteDeadline", write, write, writable},
		{"SetDeadline, reading", both, both, readable},
		{"SetDeadline, writing", both, both, writable},
		{"SetDeadline and SetReadDeadline", both, read, readable},
		{"SetDeadline and SetWriteDeadline", both, write, writable},
		{"SetReadDeadline and SetDeadline", read, both, readable},
		{"SetWriteDeadline and SetDeadline", write, both, writable},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := accept(t)
			client.Send("0123456789")
			for range 3 {
				if err := c.clear(server, time.Time{}); err != nil {
					t.Fatal(err)
				}
				if err := c.try(server); err != nil {
					t.Fatalf("after it was cleared: %v", err)
				}
				if err := c.set(server, longAgo); err != nil {
					t.Fatal(err)
				}
				if err := c.try(server); !os.IsTimeout(err) {
					t.Fatalf("after it was set: %v, want a timeout", err)
				}
			}
		})
	}
}

func TestADeadlineThatTheInnerListenerSetIsCleared(t *testing.T) {
	inner := servertest.Listen(t)
	l := stdlib.Listener(impatient{inner}, servertest.NewController(t))
	client, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.SetReadDeadline(time.Time{})
	server.SetWriteDeadline(time.Time{})
	client.Write([]byte("x"))
	if err := readable(server); err != nil {
		t.Errorf("Read: %v", err)
	}
	if err := writable(server); err != nil {
		t.Errorf("Write: %v", err)
	}
}

// impatient gives the connections that it accepts no time at all.
type impatient struct{ net.Listener }

func (l impatient) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		c.SetDeadline(longAgo)
	}
	return c, err
}
