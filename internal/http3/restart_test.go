package http3

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	quichttp3 "github.com/quic-go/quic-go/http3"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// generation is one process's worth of a server for HTTP/1, 2 and 3, whose drain is
// one: the hook ends HTTP/3 with quic-go's own Shutdown, which sends GOAWAY (RFC
// 9114 §5.2) and waits for what is under way.
type generation struct {
	address string
	tcp     *servertest.Server
	ended   chan struct{} // the hook has seen HTTP/3 to its end
}

func startGeneration(t *testing.T, handler http.Handler) *generation {
	t.Helper()
	ctl := servertest.NewController(t)
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	http3 := &quichttp3.Server{
		Handler:   stdlib.Middleware(ctl)(handler),
		TLSConfig: quichttp3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}}),
	}
	g := &generation{address: socket.LocalAddr().String(), ended: make(chan struct{})}
	served := make(chan struct{})
	go func() {
		defer close(served)
		http3.Serve(socket)
	}()
	t.Cleanup(func() {
		http3.Close()
		socket.Close()
		<-served
	})
	g.tcp = servertest.New(t, ctl, servertest.NewHTTP2(handler)).Start(
		stdlib.TLS("", ""), stdlib.DrainTimeout(clienttest.Patience),
		stdlib.OnDrain(func() {
			defer close(g.ended)
			enough, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
			defer cancel()
			if err := http3.Shutdown(enough); err != nil {
				t.Errorf("HTTP/3 was cut: %v", err)
			}
		}))
	return g
}

// end drains the generation and returns the one report.
func (g *generation) end(t *testing.T) {
	t.Helper()
	g.tcp.Drain()
	if report := g.tcp.MustEnd(); report.Forced != 0 {
		t.Errorf("the report is %+v", report)
	}
	select {
	case <-g.ended:
	default:
		t.Error("the drain is over, and HTTP/3 is not")
	}
}

// client3 counts what becomes of its requests.
type client3 struct {
	mu       sync.RWMutex // a dial under way reaches the generation that it was for
	address  string
	counting sync.Mutex
	heard    map[string]error
}

func (c *client3) dial(ctx context.Context, _ string, tls *tls.Config, config *quic.Config) (*quic.Conn, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	config = config.Clone()
	config.HandshakeIdleTimeout = clienttest.Patience
	return quic.DialAddrEarly(ctx, c.address, tls, config)
}

func (c *client3) moveTo(g *generation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.address = g.address
}

func (c *client3) answered() int {
	c.counting.Lock()
	defer c.counting.Unlock()
	return len(c.heard)
}

// post sends a body that the transport can send again: it does so where the server
// has said that it did not process the request.
func (c *client3) post(transport *quichttp3.Transport, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://http3.test/"+name, bytes.NewReader([]byte("politeclose")))
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "hello" || response.StatusCode != http.StatusOK {
		return fmt.Errorf("it was answered with %s and %q: %w", response.Status, body, err)
	}
	return nil
}

func TestRestartsUnderAnHTTP3ClientLoseNothing(t *testing.T) {
	restarts := 3
	if os.Getenv("POLITECLOSE_FULL") != "" {
		restarts = 20
	}
	var counting sync.Mutex
	executed := make(map[string]int)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		counting.Lock()
		executed[r.URL.Path]++
		counting.Unlock()
		io.WriteString(w, "hello")
	})

	now := startGeneration(t, handler)
	c := &client3{address: now.address, heard: make(map[string]error)}
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for worker := range 8 {
		workers.Go(func() {
			transport := &quichttp3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Dial: c.dial} // loopback alone
			defer transport.Close()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				name := fmt.Sprintf("%d-%d", worker, n)
				err := c.post(transport, name)
				c.counting.Lock()
				c.heard["/"+name] = err
				c.counting.Unlock()
			}
		})
	}
	more := func() {
		enough := c.answered() + 100
		clienttest.Eventually(t, "more answers", func() bool { return c.answered() >= enough })
	}
	more()
	for range restarts {
		next := startGeneration(t, handler)
		c.moveTo(next)
		now.end(t)
		now = next
		more()
	}
	close(stop)
	workers.Wait()
	now.end(t)

	counting.Lock()
	defer counting.Unlock()
	lost := 0
	for name, err := range c.heard {
		if err != nil {
			lost++
			t.Errorf("%s, executed %d times: %v", name, executed[name], err)
		}
		if executed[name] > 1 {
			t.Errorf("%s was executed %d times", name, executed[name])
		}
	}
	t.Logf("%d restarts: %d requests, %d lost", restarts, len(c.heard), lost)
}
