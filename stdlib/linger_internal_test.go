package stdlib

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestALingerHasTwoBounds(t *testing.T) {
	const never = time.Hour
	for _, c := range []struct {
		name         string
		pace, leaves time.Duration // of the client's bytes, and when it closes its side
		want         time.Duration
		err          error
	}{
		{"a silent client", never, never, 2 * time.Second, os.ErrDeadlineExceeded},
		{"one that sends too seldom", 2100 * time.Millisecond, never, 2 * time.Second, os.ErrDeadlineExceeded},
		{"one that goes on sending", 150 * time.Millisecond, never, 10 * time.Second, os.ErrDeadlineExceeded},
		{"one that sends just in time", 1900 * time.Millisecond, never, 10 * time.Second, os.ErrDeadlineExceeded},
		{"one that closes its side", never, time.Second, time.Second, io.EOF},
		{"one that closes its side after it has gone on", 1500 * time.Millisecond, 7 * time.Second, 7 * time.Second, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := net.Pipe()
				defer server.Close()
				leaves, pace := time.After(c.leaves), time.NewTicker(c.pace)
				over := make(chan struct{})
				defer close(over)
				go func() {
					defer client.Close()
					for {
						select {
						case <-pace.C:
							io.WriteString(client, "x")
						case <-leaves:
							return
						case <-over:
							return
						}
					}
				}()
				began, last := time.Now(), error(nil)
				discard(server, make([]byte, 8), func(_ []byte, err error) { last = err })
				if took := time.Since(began); took != c.want || !errors.Is(last, c.err) {
					t.Errorf("it ended after %v with %v, want %v and %v", took, last, c.want, c.err)
				}
			})
		})
	}
}
