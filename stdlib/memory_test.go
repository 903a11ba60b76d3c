package stdlib_test

import (
	"context"
	"net"
	"runtime"
	"testing"

	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// unconnected is a listener of TCP connections that lead nowhere, to have more
// of them than there are files.
type unconnected struct{ net.Listener }

func (unconnected) Accept() (net.Conn, error) { return new(net.TCPConn), nil }

func TestATrackedConnectionCostsLittleMemory(t *testing.T) {
	const connections, limit = 100_000, 200
	type accepted struct {
		conn net.Conn
		ctx  context.Context
	}
	// measure returns the bytes that a connection and its context take.
	measure := func(l net.Listener, connContext func(context.Context, net.Conn) context.Context) float64 {
		all := make([]accepted, connections)
		before := heap()
		for i := range all {
			c, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			all[i] = accepted{c, connContext(context.Background(), c)}
		}
		grown := float64(heap()) - float64(before)
		runtime.KeepAlive(all)
		return grown / connections
	}
	var more float64
	for range 3 { // what ended meanwhile of a test before this one makes a measurement wrong
		bare := measure(unconnected{}, func(ctx context.Context, _ net.Conn) context.Context { return ctx })
		ctl, srv := servertest.NewController(t), servertest.NewHTTP(nil)
		if err := stdlib.Track(srv, ctl); err != nil {
			t.Fatal(err)
		}
		tracked := measure(stdlib.Listener(unconnected{}, ctl), srv.ConnContext)
		if open := ctl.Stats().Open; open != connections {
			t.Errorf("%d connections are open", open)
		}
		more = tracked - bare
		t.Logf("%.0f bytes a connection, %.0f more than without us", tracked, more)
		if more <= limit {
			return
		}
	}
	t.Errorf("a tracked connection takes %.0f bytes, want at most %d", more, limit)
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
