package stdlib_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// streams serves each kind of stream. They leave when leaving says so.
func streams(leaving func(context.Context) <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	for path, handler := range map[string]func(http.ResponseWriter, *http.Request, <-chan struct{}){
		"/events":     sendEvents,
		takenOverPath: serveTakenOver,
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			handler(w, r, leaving(r.Context()))
		})
	}
	return mux
}

const (
	takenOverPath = "/taken-over"
	deafPath      = "/deaf"
)

// listeningAndDeaf has below deafPath the handlers that never leave by themselves.
func listeningAndDeaf() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", streams(core.Leaving))
	mux.Handle(deafPath+"/", http.StripPrefix(deafPath, streams(func(context.Context) <-chan struct{} { return nil })))
	return mux
}

func sendEvents(w http.ResponseWriter, r *http.Request, leaving <-chan struct{}) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, "data: hello\n\n")
	http.NewResponseController(w).Flush()
	select {
	case <-leaving:
		io.WriteString(w, "data: goodbye\n\n")
	case <-r.Context().Done():
	}
}

// serveTakenOver echoes lines on a connection that it has taken over, as a
// WebSocket's handler does.
func serveTakenOver(w http.ResponseWriter, _ *http.Request, leaving <-chan struct{}) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	done := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		select {
		case <-leaving:
			io.WriteString(conn, "goodbye\n")
		case <-done:
		}
	})
	io.Copy(conn, buffered) // until the client has left
	close(done)
	telling.Wait()
}

// errNotTold is how a stream ends whose server said no goodbye.
var errNotTold = errors.New("the stream ended without a goodbye")

// follow is a client of one kind of stream, below base, a host and a path. It calls begun when the stream
// works, and returns when it has ended.
type follow func(ctx context.Context, client *http.Client, base string, begun func()) error

func allKinds() map[string]follow {
	return map[string]follow{"server-sent events": followEvents, "a connection taken over": followTakenOver}
}

func followEvents(ctx context.Context, client *http.Client, base string, begun func()) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+base+"/events", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	hello := make([]byte, len("data: hello\n\n"))
	if _, err := io.ReadFull(response.Body, hello); err != nil {
		return err
	}
	begun()
	rest, err := io.ReadAll(response.Body)
	if err == nil && !bytes.Equal(rest, []byte("data: goodbye\n\n")) {
		err = errNotTold
	}
	return err
}

func followTakenOver(ctx context.Context, _ *http.Client, base string, begun func()) error {
	address, below, _ := strings.Cut(base, "/")
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	path := takenOverPath
	if below != "" {
		path = "/" + below + path
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n", path, address)
	in := bufio.NewReader(conn)
	response, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	if line, err := in.ReadString('\n'); err != nil || line != "hello\n" || response.Close {
		return fmt.Errorf("instead of an echo: %q, %w, header %v", line, err, response.Header)
	}
	begun()
	rest, err := in.ReadString('\n')
	if rest != "goodbye\n" {
		return errors.Join(errNotTold, err)
	}
	return nil
}

// crowd is many streams on one server.
type crowd struct {
	t       testing.TB
	streams sync.WaitGroup
	begun   sync.WaitGroup
	mu      sync.Mutex
	told    int
	ends    []error // of those that were not
}

// gather opens n streams of this kind and returns when they all work.
func (c *crowd) gather(n int, base string, follow follow) {
	c.t.Helper()
	failed := make(chan error, n)
	c.begun.Add(n)
	for range n {
		c.streams.Go(func() {
			// The transport is the stream's own, so that no request but its own
			// comes over the connection.
			client := &http.Client{Transport: new(http.Transport)}
			defer client.CloseIdleConnections()
			ctx, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
			defer cancel()
			begun := false
			err := follow(ctx, client, base, func() {
				begun = true
				c.begun.Done()
			})
			if !begun {
				failed <- err
				c.begun.Done()
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if err == nil {
				c.told++
			} else {
				c.ends = append(c.ends, err)
			}
		})
	}
	c.begun.Wait()
	select {
	case err := <-failed:
		c.t.Fatalf("a stream did not begin: %v", err)
	default:
	}
}

// expect waits for the end of all streams, of which so many were told and so many
// not.
func (c *crowd) expect(told, notTold int) {
	c.t.Helper()
	c.streams.Wait()
	if c.told != told || len(c.ends) != notTold {
		c.t.Errorf("%d streams were told to leave, want %d; %d were not, want %d: %v",
			c.told, told, len(c.ends), notTold, errors.Join(c.ends...))
	}
}

func TestEveryStreamIsToldAndHasGoneBeforeTheTimeout(t *testing.T) {
	each, restarts := 20, 3
	if full {
		each, restarts = 500, 20
	}
	for number := range restarts {
		s := serve(t, servertest.NewController(t), streams(core.Leaving), stdlib.IdleGrace(far), stdlib.DrainTimeout(2*far))
		c := &crowd{t: t}
		c.gather(each, s.Address, followEvents)
		c.gather(each, s.Address, followTakenOver)
		s.ExpectStats("all are known", func(s core.Stats) bool { return s.Hijacked == each && s.Active == each && s.InFlight == 0 })
		s.Drain()
		report := s.MustEnd()
		c.expect(2*each, 0)
		if report.Hijacked != each || report.Forced != 0 || report.ClosedIdle != 0 {
			t.Errorf("restart %d: the report is %+v", number+1, report)
		}
		t.Log(report)
	}
}

func TestStreamsThatDoNotListenAreEndedAtTheTimeoutAndReported(t *testing.T) {
	t.Parallel()
	const listening, deaf, timeout = 2, 3, 4 * time.Second // in which who listens has to go
	for name, follow := range allKinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, servertest.NewController(t), listeningAndDeaf(), stdlib.IdleGrace(far), stdlib.DrainTimeout(timeout))
			c := &crowd{t: t}
			c.gather(listening, s.Address, follow)
			c.gather(deaf, s.Address+deafPath, follow)
			s.Drain()
			report, err := s.Wait()
			c.expect(listening, deaf)
			if !errors.Is(err, stdlib.ErrDrainTimeout) || report.Forced != deaf || report.Duration < timeout {
				t.Errorf("Serve: %+v, %v", report, err)
			}
			s.ExpectStats("nothing is left", func(s core.Stats) bool { return s.Open == 0 && s.Hijacked == 0 })
		})
	}
}

func TestDrainsOfStreamsLeaveNothingBehind(t *testing.T) {
	drains := 20
	if full {
		drains = 100
	}
	servertest.Listen(t).Close() // a process's first socket brings the poller's descriptors
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	for number := range drains {
		func() {
			forced := number%2 == 0
			timeout, paths := 2*far, []string{""}
			if forced {
				timeout, paths = 20*time.Millisecond, []string{"", deafPath}
			}
			l, ctl := servertest.Listen(t), servertest.NewController(t, core.OnAge(far), core.DrainSpread(time.Millisecond))
			ctx, drain := context.WithCancel(context.Background())
			defer drain()
			done := make(chan error, 1)
			go func() {
				_, err := stdlib.Serve(ctx, servertest.NewHTTP(stdlib.Middleware(ctl)(listeningAndDeaf())), ctl,
					stdlib.On(l), stdlib.IdleGrace(far), stdlib.DrainTimeout(timeout))
				done <- err
			}()
			c := &crowd{t: t}
			for _, follow := range allKinds() {
				for _, path := range paths {
					c.gather(1, l.Addr().String()+path, follow)
				}
			}
			drain()
			if err := clienttest.Receive(t, "the end of Serve", done); errors.Is(err, stdlib.ErrDrainTimeout) != forced {
				t.Errorf("Serve: %v", err)
			}
			c.streams.Wait()
			clienttest.Eventually(t, "no connection", func() bool {
				s := ctl.Stats()
				return s.Open == 0 && s.Active == 0 && s.Idle == 0 && s.Hijacked == 0 && s.InFlight == 0
			})
		}()
	}
	clienttest.Eventually(t, fmt.Sprint("as many goroutines as at the start: ", goroutines), func() bool {
		return runtime.NumGoroutine() <= goroutines
	})
	clienttest.Eventually(t, fmt.Sprint("as many descriptors as at the start: ", descriptors), func() bool {
		return openDescriptors(t) <= descriptors
	})
}

// openDescriptors is 0 where the system does not tell.
func openDescriptors(t *testing.T) int {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Logf("descriptors are not counted: %v", err)
	}
	return len(open)
}
