package stdlib_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestOverHTTP2DrainsLeaveNothingBehind(t *testing.T) {
	drains := 10
	if full {
		drains = 100
	}
	overEachHTTP2Server(t, func(t *testing.T, secure bool, opts ...stdlib.ServeOption) {
		servertest.Listen(t).Close() // a process's first socket brings the poller's descriptors
		goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
		for drained := 0; drained < drains; {
			var together []*drainedHTTP2 // a drain mostly waits
			for range 5 {
				together = append(together, startHTTP2(t, secure, drained%2 == 0, opts...))
				drained++
			}
			for _, d := range together {
				d.drain()
			}
			for _, d := range together {
				d.expectEnd()
			}
		}
		clienttest.Eventually(t, fmt.Sprint("as many goroutines as at the start: ", goroutines), func() bool {
			return runtime.NumGoroutine() <= goroutines
		})
		clienttest.Eventually(t, fmt.Sprint("as many descriptors as at the start: ", descriptors), func() bool {
			return openDescriptors(t) <= descriptors
		})
	})
}

// drainedHTTP2 is a server with connections that are busy, idle and, if the drain
// has to be forced, stuck in a handler.
type drainedHTTP2 struct {
	t       *testing.T
	ctl     *core.Controller
	forced  bool
	drain   context.CancelFunc
	done    chan error
	clients []*http.Transport
	streams sync.WaitGroup
}

func startHTTP2(t *testing.T, secure, forced bool, opts ...stdlib.ServeOption) *drainedHTTP2 {
	t.Helper()
	stuck := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	mux.HandleFunc("/stuck", func(_ http.ResponseWriter, r *http.Request) {
		close(stuck)
		<-r.Context().Done()
	})
	timeout := 2 * far
	if forced {
		timeout = 20 * time.Millisecond
	}
	l, ctl := servertest.Listen(t), servertest.NewController(t, core.OnAge(far))
	opts = append([]stdlib.ServeOption{stdlib.On(l), stdlib.IdleGrace(far), stdlib.DrainTimeout(timeout)}, opts...)
	ctx, drain := context.WithCancel(context.Background())
	d := &drainedHTTP2{t: t, ctl: ctl, forced: forced, drain: drain, done: make(chan error, 1)}
	go func() {
		_, err := stdlib.Serve(ctx, servertest.NewHTTP2(stdlib.Middleware(ctl)(mux)), ctl, opts...)
		d.done <- err
	}()

	root := targetURL(secure, l.Addr().String())
	for range 3 {
		client := http2Transport(secure)
		d.clients = append(d.clients, client)
		if _, err := post(client, root); err != nil {
			t.Error(err)
		}
	}
	const streams = 4
	for range streams {
		d.streams.Go(func() {
			for err := error(nil); err == nil; { // until nobody accepts
				_, err = post(d.clients[0], root)
			}
		})
	}
	if forced {
		d.streams.Go(func() {
			if _, err := post(d.clients[1], root+"stuck"); err == nil {
				t.Error("a handler that never answered has answered")
			}
		})
		clienttest.Receive(t, "the request of a handler that does not return", stuck)
	}
	return d
}

func (d *drainedHTTP2) expectEnd() {
	d.t.Helper()
	if err := clienttest.Receive(d.t, "the end of Serve", d.done); errors.Is(err, stdlib.ErrDrainTimeout) != d.forced {
		d.t.Errorf("forced: %t, Serve: %v", d.forced, err)
	}
	d.streams.Wait()
	for _, client := range d.clients {
		client.CloseIdleConnections()
	}
	clienttest.Eventually(d.t, "no connection", func() bool {
		s := d.ctl.Stats()
		return s.Open == 0 && s.Active == 0 && s.Idle == 0 && s.Hijacked == 0 && s.InFlight == 0
	})
}
