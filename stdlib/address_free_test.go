package stdlib_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// slowToClose is a listener whose Accept has returned for some time when its Close
// does, as that of a socket is whose goroutine did not get its turn.
type slowToClose struct {
	net.Listener
	once   sync.Once
	ended  chan struct{} // closed when Accept has returned its error
	closed atomic.Bool
}

func (l *slowToClose) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		l.once.Do(func() { close(l.ended) })
	}
	return c, err
}

func (l *slowToClose) Close() error {
	err := l.Listener.Close()
	<-l.ended
	<-time.After(50 * time.Millisecond)
	l.closed.Store(true)
	return err
}

func TestWhenServeReturnsItsListenerIsClosed(t *testing.T) {
	l := &slowToClose{Listener: servertest.Listen(t), ended: make(chan struct{})}
	ctl := servertest.NewController(t)
	s := servertest.NewOn(t, l, ctl, servertest.NewHTTP(servertest.Hello)).Start()
	s.Drain()
	s.MustEnd()
	if !l.closed.Load() {
		t.Error("Serve has returned before the listener's Close")
	}
}

func TestTheAddressIsFreeWhenServeReturns(t *testing.T) {
	t.Parallel()
	address := servertest.FreeAddress(t)
	for range 50 {
		srv := servertest.NewHTTP(servertest.Hello)
		srv.Addr = address
		drained, drain := context.WithCancel(t.Context())
		listening, ended := make(chan struct{}), make(chan error, 1)
		ctl := servertest.NewController(t)
		go func() {
			_, err := stdlib.Serve(drained, srv, ctl, stdlib.OnListening(func(net.Addr) { close(listening) }))
			ended <- err
		}()
		select {
		case <-listening:
		case err := <-ended:
			t.Fatal(err)
		}
		c := clienttest.Dial(t, address)
		get(t, c, "/")
		drain()
		clienttest.Eventually(t, "draining", ctl.Draining)
		c.ExpectClosed(get(t, c, "/"))
		c.Close()
		if err := clienttest.Receive(t, "the end of Serve", ended); err != nil {
			t.Fatal(err)
		}
	}
}
