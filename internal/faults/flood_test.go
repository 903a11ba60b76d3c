package faults

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// short are visits that end before a request has been answered.
var short = []func(net.Conn){
	func(net.Conn) {},
	func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) },
	func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\nHo") },
	func(c net.Conn) {
		io.WriteString(c, "GET / HTTP/1.1\r\nHo")
		c.(*net.TCPConn).SetLinger(0)
	},
}

func TestConnectionsThatComeAndGoInTheLameDuckLeaveNothingBehind(t *testing.T) {
	connections, workers := 1000, 8
	if full {
		connections = 10_000
	}
	s := newServer(t, servertest.Hello).start(servertest.Cleartext, stdlib.LameDuck(far), stdlib.DrainTimeout(2*far))
	s.BeginDrain()
	var next, answered atomic.Int64
	var failure atomic.Value
	var visitors sync.WaitGroup
	for range workers {
		visitors.Go(func() {
			for i := next.Add(1); i <= int64(connections); i = next.Add(1) {
				v, err := visit(s.Address, servertest.Cleartext)
				if err != nil {
					failure.CompareAndSwap(nil, err)
					return
				}
				// Every fifth one stays for an exchange.
				if kind := int(i) % (len(short) + 1); kind < len(short) {
					short[kind](v.conn)
				} else if last, err := v.ask(); err != nil {
					failure.CompareAndSwap(nil, err)
				} else if last {
					answered.Add(1)
				}
				v.leave()
			}
		})
	}
	visitors.Wait()
	if err := failure.Load(); err != nil {
		t.Errorf("somebody was lost: %v", err)
	}
	want := connections / (len(short) + 1)
	if got := answered.Load(); got != int64(want) {
		t.Errorf("%d connections were answered and announced, want %d", got, want)
	}
	// A reset may have come before the server has accepted. One more connection is accepted after all of them.
	last, err := visit(s.Address, servertest.Cleartext)
	if err != nil {
		t.Fatal(err)
	}
	defer last.leave()
	if announced, err := last.ask(); err != nil || !announced {
		t.Errorf("the last connection: announced %v, %v", announced, err)
	}
	last.leave()
	s.isEmpty()
	s.Force()
	s.expectEnd(stdlib.Report{Announced: want + 1, Served: want + 1}, nil)
	if stats := s.Controller.Stats(); stats.Exchanges != uint64(want+1) || stats.Closes[core.ReasonDrain] != uint64(want+1) {
		t.Errorf("the statistics are %+v", stats)
	}
}
