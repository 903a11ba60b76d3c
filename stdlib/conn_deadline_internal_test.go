package stdlib

import (
	"net"
	"os"
	"testing"
	"time"
)

func TestADeadlineIsClearedAlsoWhereTwoCallsMet(t *testing.T) {
	longAgo, none := time.Unix(1, 0), time.Time{}
	for _, c := range []struct {
		name          string
		outer, within time.Time
	}{
		{"one is set while one is cleared", none, longAgo},
		{"one is cleared while one is set", longAgo, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, client := tcpPair(t)
			met := false
			ours := &conn{TCPConn: server}
			ours.setDeadline(c.outer, connNoReadDeadline, func(tcp *net.TCPConn, at time.Time) error {
				met = true
				if at.IsZero() {
					defer ours.SetReadDeadline(c.within)
				} else {
					ours.SetReadDeadline(c.within)
				}
				return tcp.SetReadDeadline(at)
			})
			if !met {
				t.Fatal("the socket was not asked")
			}
			ours.SetReadDeadline(none)
			client.Write([]byte("x"))
			if _, err := ours.Read(make([]byte, 1)); os.IsTimeout(err) {
				t.Error("there still is a deadline")
			}
		})
	}
}

func tcpPair(t *testing.T) (server, client *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return accepted.(*net.TCPConn), dialled.(*net.TCPConn)
}
