//go:build unix

package stdlib

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib/internal/goaway"
)

// BenchmarkDrainAtScale drains the records of 100,000 connections over 10 s, half of
// them HTTP/2, without sockets and without requests. HTTP/2 connections end when they
// are told, HTTP/1.1 ones at moments as even as those. It reports the share of one
// core beyond what it takes that as many connections end in the same time without a
// drain, the allocations for each connection, and the longest that the loop scans all
// connections at once.
func BenchmarkDrainAtScale(b *testing.B) {
	const connections, spread = 100_000, 10 * time.Second
	var cores, allocations float64
	var pause time.Duration
	for b.Loop() {
		without := newScale(b, connections, core.DrainSpread(spread))
		runtime.GC()
		used, began := processorTime(b), time.Now()
		endEvenly(append(without.http1, without.http2...), spread)
		cores -= float64(processorTime(b)-used) / float64(time.Since(began))
		without.srv.Close()

		s := newScale(b, connections, core.DrainSpread(spread))
		for range 5 {
			pause = max(pause, s.scan(b))
		}
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used, began = processorTime(b), time.Now()
		go endEvenly(s.http1, spread)
		report, err := Shutdown(context.Background(), s.srv, s.ctl, IdleGrace(0))
		if err != nil || report.Announced != connections/2 {
			b.Fatalf("%+v, error %v", report, err)
		}
		cores += float64(processorTime(b)-used) / float64(time.Since(began))
		runtime.ReadMemStats(&after)
		allocations += float64(after.Mallocs-before.Mallocs) / connections
	}
	b.ReportMetric(0, "ns/op") // it is the spread
	b.ReportMetric(100*cores/float64(b.N), "%-of-a-core")
	b.ReportMetric(allocations/float64(b.N), "allocs/connection")
	b.ReportMetric(float64(pause)/float64(time.Millisecond), "ms-longest-scan")
}

// scale is a server with connections that are records alone.
type scale struct {
	srv     *http.Server
	ctl     *core.Controller
	tracker *tracker
	http1   []*record
	http2   []*record

	listener *listener
}

func newScale(b *testing.B, connections int, opts ...core.Option) *scale {
	ctl, err := core.New(append(opts, core.Logger(slog.New(slog.DiscardHandler)))...)
	if err != nil {
		b.Fatal(err)
	}
	serving := make(chan struct{})
	s := &scale{ctl: ctl, srv: &http.Server{BaseContext: func(net.Listener) context.Context {
		close(serving)
		return context.Background()
	}}}
	if s.tracker, err = track(s.srv, ctl); err != nil {
		b.Fatal(err)
	}
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		b.Fatal(err)
	}
	listener := Listener(l, ctl)
	s.listener = ownListener(listener)
	go s.srv.Serve(listener)
	<-serving
	for i := range connections {
		r := s.tracker.open(context.Background(), &conn{TCPConn: new(net.TCPConn), listener: s.listener})
		r.SetState(http.StateNew)
		r.gone.Store(wasNew)
		if i%2 == 0 {
			r.AnnounceWith(func(core.Reason) { r.leave(goneBoth) })
			r.http2.Store(new(goaway.Conn))
			s.http2 = append(s.http2, r)
		} else {
			s.http1 = append(s.http1, r)
		}
	}
	return s
}

// scan makes the lifecycle loop's two scans, in which nothing is due, and returns
// the longer one's processor time, which other work on the machine lengthens less
// than the time.
func (s *scale) scan(b *testing.B) time.Duration {
	d := newDrain(s.srv, s.tracker, &serveConfig{idleGrace: time.Hour, force: context.Background()})
	s.listener.tally.drain.Store(d)
	defer s.listener.tally.drain.Store(nil)
	d.emptying.again = true
	began := processorTime(b)
	d.announce()
	between := processorTime(b)
	d.closeSilent()
	return max(between-began, processorTime(b)-between)
}

// endEvenly ends connections over the spread, in steps of ten milliseconds.
func endEvenly(connections []*record, spread time.Duration) {
	began := time.Now()
	for ended := 0; ended < len(connections); time.Sleep(10 * time.Millisecond) {
		due := int(float64(len(connections)) * float64(time.Since(began)) / float64(spread))
		for ; ended < min(due, len(connections)); ended++ {
			connections[ended].leave(goneBoth)
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
