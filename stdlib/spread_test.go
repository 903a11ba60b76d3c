package stdlib_test

import (
	"bufio"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// spreadTraffic is what the announcements of a drain are spread over.
type spreadTraffic struct {
	connections int
	pause       time.Duration // from request to request
	window      time.Duration
}

var busySpread = spreadTraffic{connections: 200, pause: 20 * time.Millisecond, window: 3 * time.Second}

// announcements runs the traffic until begin has made the server announce on all
// connections, and returns when it did, as fractions of the window.
func (s spreadTraffic) announcements(dial func() net.Conn, begin func()) (moments []float64) {
	var mu sync.Mutex
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	var began time.Time
	request := clienttest.Request("GET", "/")
	ready.Add(s.connections)
	for range s.connections {
		all.Go(func() {
			conn := dial()
			defer conn.Close()
			in := bufio.NewReader(conn)
			exchange := func() (announced bool) {
				io.WriteString(conn, request)
				response, err := http.ReadResponse(in, nil)
				if err != nil {
					return true
				}
				io.Copy(io.Discard, response.Body)
				return response.Close
			}
			exchange()
			ready.Done()
			<-start
			pace := time.NewTimer(rand.N(s.pause))
			for range pace.C {
				pace.Reset(s.pause)
				if exchange() {
					break
				}
			}
			mu.Lock()
			defer mu.Unlock()
			moments = append(moments, float64(time.Since(began))/float64(s.window))
		})
	}
	ready.Wait()
	began = time.Now()
	begin()
	close(start)
	all.Wait()
	return moments
}

// distanceFromUniform is the largest distance between the empirical distribution
// of the moments and an even one over the window (Kolmogorov, Smirnov).
func distanceFromUniform(moments []float64) (distance float64) {
	slices.Sort(moments)
	for i, m := range moments {
		m = min(max(m, 0), 1)
		below, upTo := float64(i)/float64(len(moments)), float64(i+1)/float64(len(moments))
		distance = max(distance, math.Abs(m-below), math.Abs(m-upTo))
	}
	return distance
}

// coinToss announces as Envoy and HAProxy do: each response on its own, the more
// likely the more of the window has passed.
type coinToss struct {
	window time.Duration
	mu     sync.Mutex
	began  time.Time
}

func (c *coinToss) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = time.Now()
}

func (c *coinToss) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	began := c.began
	c.mu.Unlock()
	if !began.IsZero() && rand.Float64() < float64(time.Since(began))/float64(c.window) {
		w.Header().Set("Connection", "close")
	}
	servertest.Hello(w, r)
}

// pipes is a listener in memory, for a test with a clock of its own.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accept <- server
	return client
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

func TestASpreadDrainAnnouncesEvenlyHoweverBusyTheConnectionsAre(t *testing.T) {
	measure := func(t *testing.T, handler http.Handler, track func(*http.Server), begin func()) (distance float64) {
		synctest.Test(t, func(t *testing.T) {
			srv, l := servertest.NewHTTP(handler), newPipes()
			track(srv)
			done := make(chan struct{})
			go func() {
				defer close(done)
				srv.Serve(l)
			}()
			moments := busySpread.announcements(l.dial, begin)
			srv.Close()
			<-done
			if len(moments) != busySpread.connections || slices.Max(moments) > 1+busySpread.pause.Seconds()/busySpread.window.Seconds() {
				t.Errorf("%d connections were announced, the last one after %v of the window", len(moments), slices.Max(moments))
			}
			distance = distanceFromUniform(moments)
		})
		return distance
	}
	var ours, theirs float64
	t.Run("ours", func(t *testing.T) {
		ctl := servertest.NewController(t, core.DrainSpread(busySpread.window))
		ours = measure(t, stdlib.Middleware(ctl)(servertest.Hello), func(srv *http.Server) {
			if err := stdlib.Track(srv, ctl); err != nil {
				t.Fatal(err)
			}
		}, ctl.Drain)
	})
	t.Run("a coin toss per response", func(t *testing.T) {
		coin := &coinToss{window: busySpread.window}
		theirs = measure(t, coin, func(*http.Server) {}, coin.begin)
	})
	t.Logf("distance from an even spread: %.3f; of a coin toss per response: %.3f", ours, theirs)
	if ours > 0.05 {
		t.Errorf("the distance from an even spread is %.3f, want at most 0.05", ours)
	}
	if theirs < 0.2 {
		t.Errorf("a coin toss is %.3f from an even spread: the measure does not tell the two apart", theirs)
	}
}

// BenchmarkDrainSpread is the same over sockets and in real time. It reports the
// distance from an even spread, which is not to be above 0.05, and that of a coin
// toss per response.
func BenchmarkDrainSpread(b *testing.B) {
	measure := func(b *testing.B, handler http.Handler, ctl *core.Controller, begin func()) float64 {
		srv := servertest.NewHTTP(handler)
		if ctl != nil {
			if err := stdlib.Track(srv, ctl); err != nil {
				b.Fatal(err)
			}
		}
		address := startBare(b, srv, servertest.Cleartext)
		return distanceFromUniform(busySpread.announcements(func() net.Conn {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return brokenConn()
			}
			return conn
		}, begin))
	}
	for b.Loop() {
		ctl := servertest.NewController(b, core.DrainSpread(busySpread.window))
		b.ReportMetric(measure(b, stdlib.Middleware(ctl)(servertest.Hello), ctl, ctl.Drain), "distance")
		coin := &coinToss{window: busySpread.window}
		b.ReportMetric(measure(b, coin, nil, coin.begin), "coin-toss-distance")
	}
	b.ReportMetric(0, "ns/op") // its length says nothing
}

func brokenConn() net.Conn {
	one, other := net.Pipe()
	one.Close()
	return other
}
