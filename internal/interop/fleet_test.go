package interop

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/fleet"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// scaleOut is a fleet that grows while its clients stay on their connections.
type scaleOut struct {
	before, after int // replicas
	clients       int
	think         time.Duration
	interval      time.Duration // of the polls
	// moved is the part of their fair share that the new replicas have to get.
	moved float64
	// last is by when the last one may be closed, and silence how long nobody is
	// after that; 0 = not looked at.
	last, silence time.Duration
}

func scaleOutOfThisRun() scaleOut {
	if os.Getenv("POLITECLOSE_FULL") != "" {
		return scaleOut{before: 6, after: 8, clients: 3000, think: 3 * time.Second, interval: 2 * time.Second, moved: 0.9, last: time.Minute, silence: time.Minute}
	}
	// An excess is spread over half a minute, and a third of that is enough
	// to see it begin.
	return scaleOut{before: 2, after: 4, clients: 120, think: 500 * time.Millisecond, interval: 500 * time.Millisecond, moved: 0.3}
}

// TestNewReplicasBehindHAProxyGetTheirShareAndNoRequestIsLost has HAProxy assign
// connections to the replica with the fewest, half of them HTTP/1.1 and half
// HTTP/2. It learns from its health checks that a replica is there.
func TestNewReplicasBehindHAProxyGetTheirShareAndNoRequestIsLost(t *testing.T) {
	t.Parallel()
	run := scaleOutOfThisRun()
	f := &runningFleet{book: newBook()}
	for range run.after {
		f.addresses = append(f.addresses, servertest.FreeAddress(t))
	}
	for i := range run.before {
		f.start(t, i, run.interval)
	}
	front := servertest.FreeAddress(t)
	f.startHAProxy(t, front, run.clients)
	stop := startFleetClients(t, traffic{url: "http://" + front + "/", workers: run.clients, think: run.think, answer: answer}, f.book)
	f.eventually(t, "every client has its connection", func() bool { return f.connections(0) >= run.clients })

	for i := run.before; i < run.after; i++ {
		f.start(t, i, run.interval)
	}
	began := time.Now()
	share := run.clients * (run.after - run.before) / run.after
	enough := int(run.moved * float64(share))
	f.eventually(t, "the new replicas have their share", func() bool { return f.connections(run.before) >= enough })
	took, until := time.Since(began), f.closes()
	last, closes := began, uint64(0)
	f.eventually(t, "nobody is closed any more", func() bool {
		if n := f.closes(); n != closes {
			closes, last = n, time.Now()
		}
		return time.Since(last) >= run.silence
	})
	stop()
	result := f.book.result(t)
	t.Logf("%d clients: the new replicas had %d connections after %v and %d closes; %d closes in all, the last one after %v; %v",
		run.clients, enough, took.Round(100*time.Millisecond), until, closes, last.Sub(began).Round(100*time.Millisecond), result)
	if run.last > 0 && last.Sub(began) > run.last {
		t.Errorf("the last close was after %v, want %v at most", last.Sub(began), run.last)
	}
	if result.lost > 0 {
		t.Errorf("%d requests were lost", result.lost)
	}
	// A close brings a connection to one of the new replicas.
	if most := uint64(share + share/10); closes > most {
		t.Errorf("%d closes, want %d at most", closes, most)
	}
}

// runningFleet has its replicas in this process.
type runningFleet struct {
	book      *book
	addresses []string // those of replicas that are still to come, too
	mu        sync.Mutex
	started   []*core.Controller
}

func (f *runningFleet) peers(context.Context) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.addresses[:len(f.started)], nil
}

func (f *runningFleet) start(t *testing.T, i int, interval time.Duration) {
	t.Helper()
	share, err := fleet.NewShare(f.peers, fleet.Interval(interval), fleet.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	ctl := servertest.NewController(t, core.OnExcess(share.FairShare))
	mux := http.NewServeMux()
	mux.Handle("GET "+fleet.Path, share.Handler(ctl))
	mux.Handle("GET /readyz", stdlib.Ready(ctl))
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			f.book.replica(executedPrefix + r.Header.Get(idHeader))
		}
		io.WriteString(w, answer)
	})
	l, err := net.Listen("tcp", f.addresses[i])
	if err != nil {
		t.Fatal(err)
	}
	servertest.NewOn(t, l, ctl, servertest.NewHTTP2(mux)).Start()
	ctx, cancel := context.WithCancel(context.Background())
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		share.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		clienttest.Receive(t, "the end of the polls", polled)
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, ctl)
}

// startHAProxy returns when HAProxy has found out who is not there: until its
// first check it takes everybody for ready, and a connection that is refused in
// the end has cost its client a request.
func (f *runningFleet) startHAProxy(t *testing.T, front string, clients int) {
	t.Helper()
	program := find(t, "haproxy", "/usr/sbin/haproxy")
	var servers strings.Builder
	for i, address := range f.addresses {
		fmt.Fprintf(&servers, "    server replica%d %s check inter 500ms fall 1 rise 1\n", i, address)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, `global
    maxconn %d
defaults
    mode tcp
    timeout connect 5s
    timeout check 10s
    timeout client 5m
    timeout server 5m
listen replicas
    bind %s
    balance leastconn
    option httpchk GET /readyz
%s`, clients+100, front, servers.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, front, exec.Command(program, "-db", "-f", file))
	f.eventually(t, "HAProxy knows who is not there", func() bool {
		for i := len(f.started); i < len(f.addresses); i++ {
			if !strings.Contains(p.said.String(), fmt.Sprintf("replica%d is DOWN", i)) {
				return false
			}
		}
		return true
	})
}

// connections are those of all replicas but the first.
func (f *runningFleet) connections(first int) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ctl := range f.started[first:] {
		n += ctl.Stats().Open
	}
	return n
}

func (f *runningFleet) closes() (n uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ctl := range f.started {
		n += ctl.Stats().Closes[core.ReasonExcess]
	}
	return n
}

// eventually has the patience for a fleet, which takes its time.
func (f *runningFleet) eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v still not: %s; %d connections, %d closes", 10*patience, what, f.connections(0), f.closes())
		}
	}
}

// startFleetClients has every other client speak HTTP/2. They do not ask all at
// once.
func startFleetClients(t *testing.T, to traffic, b *book) (stop func()) {
	var clients atomic.Int64
	return startWorkers(t, to, func() (work func(string), end func()) {
		http2 := clients.Add(1)%2 == 0
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(!http2)
		transport.Protocols.SetUnencryptedHTTP2(http2)
		time.Sleep(rand.N(to.think))
		return func(id string) { b.client(id, post(transport, to, id)) }, transport.CloseIdleConnections
	})
}
