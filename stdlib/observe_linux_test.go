package stdlib_test

import (
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// The read of such a connection fails with ETIMEDOUT, which says that it is a timeout,
// as a deadline of net/http's does.
func TestAClientThatTheKernelGivesUpEndedWithAnError(t *testing.T) {
	t.Parallel()
	ctl := servertest.NewController(t)
	o := observe(t, ctl)
	srv := servertest.NewHTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 100<<10)) // more than the client takes, less than the socket does
	}))
	srv.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateNew {
			giveUpAfter(t, c.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn), 300)
		}
	}
	if err := stdlib.Track(srv, ctl); err != nil {
		t.Fatal(err)
	}
	l := servertest.Listen(t)
	go srv.Serve(l)
	defer srv.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.(*net.TCPConn).SetReadBuffer(4 << 10) // of which it reads nothing
	if _, err := client.Write([]byte(clienttest.Request("GET", "/"))); err != nil {
		t.Fatal(err)
	}
	clienttest.Eventually(t, "the connection is gone", func() bool { return len(o.of(core.EventGone)) > 0 })
	if how := o.of(core.EventGone)[0].How; how != core.HowError {
		t.Errorf("it ended %q, want %q", how, core.HowError)
	}
}

// giveUpAfter sets TCP_USER_TIMEOUT, and a buffer that holds a response.
func giveUpAfter(t *testing.T, c *net.TCPConn, milliseconds int) {
	if err := c.SetWriteBuffer(1 << 20); err != nil {
		t.Error(err)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	const userTimeout = 18
	if err := raw.Control(func(fd uintptr) {
		if err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, milliseconds); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Error(err)
	}
}
