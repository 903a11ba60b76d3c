package faults

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/childtest"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// idleClients is the child that has the clients' ends: with both ends in one process a limit on open files would be
// reached at half the number, and the server's memory could not be told from the clients'.
const (
	idleClients = "idle clients"
	idleEnv     = "POLITECLOSE_FAULTS_IDLE"
)

// runIdleClients makes one exchange on each of so many connections, prints that they are idle, and at the end how many
// ended in an orderly way.
func runIdleClients() (status int) {
	n, err := strconv.Atoi(os.Getenv(idleEnv))
	if err != nil {
		return failed(err)
	}
	raiseFileLimit(n + reserved)
	visitors := make([]*visitor, n)
	var next atomic.Int64
	var failure atomic.Value
	var connecting sync.WaitGroup
	for range 32 {
		connecting.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				v, err := visit(os.Getenv(addressEnv), servertest.Cleartext)
				if err == nil {
					v.conn.SetDeadline(time.Time{})
					_, err = v.ask()
				}
				if err != nil {
					failure.CompareAndSwap(nil, err)
					return
				}
				visitors[i] = v
			}
		})
	}
	connecting.Wait()
	if err := failure.Load(); err != nil {
		return failed(err)
	}
	fmt.Println("idle")
	var ending sync.WaitGroup
	var orderly atomic.Int64
	for _, v := range visitors {
		ending.Go(func() {
			if v.end() == nil {
				orderly.Add(1)
			}
			v.leave()
		})
	}
	ending.Wait()
	fmt.Println("ended", orderly.Load())
	return 0
}

// reserved is how many files a process needs besides its idle connections.
const reserved = 600

// raiseFileLimit raises the limit on open files to n where that is allowed, and returns what it is.
func raiseFileLimit(n int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	if wanted := uint64(n); limit.Cur < wanted {
		raised := syscall.Rlimit{Cur: wanted, Max: max(limit.Max, wanted)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			return n
		}
	}
	return int(limit.Cur)
}

// warmUp makes the runtime have as many goroutines as connections will need. It keeps what it had to allocate for them,
// which would otherwise be counted for whoever is measured first.
func warmUp(goroutines int) {
	release := make(chan struct{})
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() { <-release })
	}
	close(release)
	all.Wait()
}

// heap returns what is live. Stacks are not in it: the runtime keeps some, so that only their sum says anything.
func heap() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestThousandsOfIdleConnectionsAreClosedAfterTheGrace(t *testing.T) {
	const active, bytesEach, bytesInAll = 200, 200, 64 << 10
	idle, grace, slack := 2000, 500*time.Millisecond, 10*time.Second
	if full {
		idle, grace, slack = 20_000, time.Second, time.Second
	}
	if limit := raiseFileLimit(idle + reserved); limit < idle+reserved {
		t.Logf("%d connections: the limit of %d open files cannot be raised", limit-reserved, limit)
		idle = limit - reserved
	}
	warmUp(2 * idle)
	bare := memoryOfBare(t, idle)

	entered, release := make(chan struct{}, active), make(chan struct{})
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/active" {
			entered <- struct{}{}
			<-release
		}
		servertest.Hello(w, r)
	})).start(servertest.Cleartext, stdlib.IdleGrace(grace), stdlib.DrainTimeout(far))
	before := heap()
	child := startIdleClients(t, s.Address, idle)
	s.ExpectStats("all are idle", func(s core.Stats) bool { return s.Idle == idle })
	ours := heap() - before
	t.Logf("%d idle connections: %d bytes each, %d with net/http alone", idle, ours/idle, bare/idle)
	// Of a few connections net/http alone now and then takes 500 bytes less each.
	if full && ours-bare > bytesEach*idle+bytesInAll {
		t.Errorf("a connection takes %d bytes more than with net/http alone, want at most %d", (ours-bare)/idle, bytesEach)
	}

	clients := make([]*clienttest.Conn, active)
	for i := range clients {
		clients[i] = clienttest.Dial(t, s.Address)
		clients[i].Send(clienttest.Request("GET", "/active"))
	}
	for range clients {
		clienttest.Receive(t, "the request", entered)
	}
	s.Drain()
	s.ListenerIsClosed()
	close(release)
	for _, c := range clients {
		c.ExpectClosed(expectHello(t, c.Receive()))
		c.Close()
	}
	answered := time.Now()
	took := s.expectEnd(stdlib.Report{Announced: active, Served: active, ClosedIdle: idle}, nil)
	after := time.Since(answered)
	t.Logf("the drain took %v; it was over %v after the last exchange", took, after)
	if took < grace || after > grace+slack {
		t.Errorf("the drain took %v and was over %v after the last exchange; the grace is %v", took, after, grace)
	}
	child.ExpectLine(fmt.Sprint("ended ", idle))
	child.ExpectStatus(0)
}

func startIdleClients(t *testing.T, address string, n int) *childtest.Process {
	t.Helper()
	child := childtest.Start(t, idleClients, addressEnv+"="+address, fmt.Sprint(idleEnv, "=", n))
	child.ExpectLine("idle")
	return child
}

// memoryOfBare returns what so many idle connections take without us.
func memoryOfBare(t *testing.T, idle int) (bytes int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var isIdle atomic.Int64
	srv := &http.Server{Handler: servertest.Hello, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			isIdle.Add(1)
		}
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(l)
	}()
	before := heap()
	child := startIdleClients(t, l.Addr().String(), idle)
	clienttest.Eventually(t, "all are idle", func() bool { return isIdle.Load() == int64(idle) })
	bytes = heap() - before
	srv.Close()
	clienttest.Receive(t, "the end of Serve", done)
	child.ExpectLine(fmt.Sprint("ended ", idle))
	child.ExpectStatus(0)
	clienttest.ExpectNoGoroutine(t, "net/http.(*conn)")
	return bytes
}
