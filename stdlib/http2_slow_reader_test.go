package stdlib_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// slowly reads 300 KiB a second at most.
type slowly struct {
	net.Conn
	pace *time.Ticker // 100 in a second
}

func (c *slowly) Read(p []byte) (int, error) {
	<-c.pace.C
	return c.Conn.Read(p[:min(len(p), 3<<10)])
}

// A client that reads slowly has a part of a stream in front of it, in the buffers of
// both sides, before it comes to a GOAWAY: seconds of it with the kernel's own. What
// it sends until then is served.
func TestOverHTTP2NothingOfASlowReaderIsRefused(t *testing.T) {
	t.Parallel()
	requestsInAll, buffers, stay, pace := 15, 64<<10, time.Second, 100*time.Millisecond
	if full {
		requestsInAll, buffers, stay, pace = 150, 0, 10*time.Second, 200*time.Millisecond // the kernel's own buffers
	}
	var streaming, served atomic.Int64
	ctl := servertest.NewController(t)
	srv := servertest.NewHTTP2(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/stream" {
			served.Add(1)
			servertest.Hello(w, r)
			return
		}
		leaving, over := core.Leaving(r.Context()), (<-chan time.Time)(nil)
		for chunk := strings.Repeat("x", 32<<10); ; {
			select {
			case <-leaving:
				leaving, over = nil, time.After(stay)
			case <-over:
				return
			default:
			}
			n, err := io.WriteString(w, chunk)
			if streaming.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if buffers > 0 {
			c.(interface{ SetWriteBuffer(int) error }).SetWriteBuffer(buffers)
		}
		return ctx
	}
	s := servertest.New(t, ctl, srv).Start(stdlib.DrainTimeout(2 * time.Minute))
	transport := &http.Transport{
		Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if buffers > 0 {
				c.(*net.TCPConn).SetReadBuffer(buffers)
			}
			return &slowly{c, time.NewTicker(10 * time.Millisecond)}, nil
		},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}

	var requests sync.WaitGroup
	var answered, notSent atomic.Int64
	lost := make(chan error, 1000)
	ask := func(path string) {
		response, err := client.Post("http://"+s.Address+path, "text/plain", io.NopCloser(strings.NewReader("body")))
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		dial := (*net.OpError)(nil)
		switch {
		case err == nil:
			answered.Add(1)
		case errors.As(err, &dial) && dial.Op == "dial":
			notSent.Add(1)
		default:
			lost <- err
		}
	}
	requests.Go(func() { ask("/stream") })
	clienttest.Eventually(t, "the buffers are full", func() bool {
		before := streaming.Load()
		time.Sleep(50 * time.Millisecond)
		return before > 256<<10 && streaming.Load()-before < 64<<10
	})
	s.BeginDrain()
	// Until long after it has been told, which on a busy machine may take longer.
	for asked, began := 0, time.Now(); asked < requestsInAll || notSent.Load() == 0 && time.Since(began) < clienttest.Patience; asked++ {
		requests.Go(func() { ask("/") })
		time.Sleep(pace)
	}
	requests.Wait()
	report := s.MustEnd()
	t.Logf("%d answered, %d not sent, after %d KiB of the stream; %v", answered.Load(), notSent.Load(), streaming.Load()>>10, report)
	close(lost)
	for err := range lost {
		t.Error(err)
	}
	if answered.Load() != served.Load()+1 || served.Load() == 0 || notSent.Load() == 0 || report.InputAfterAnnounce != 0 || report.Forced != 0 {
		t.Errorf("%d served, %d answered, %d not sent: %+v", served.Load(), answered.Load()-1, notSent.Load(), report)
	}
}
