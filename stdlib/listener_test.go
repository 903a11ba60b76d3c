package stdlib_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

func TestListenerPassesWhatItCannotImprove(t *testing.T) {
	ctl, l := servertest.NewController(t), servertest.Listen(t)
	if got := stdlib.Listener(nil, ctl); got != nil {
		t.Errorf("without a listener it is %v", got)
	}
	if got := stdlib.Listener(l, nil); got != l {
		t.Errorf("without a Controller it is %v", got)
	}
	once := stdlib.Listener(l, ctl)
	if stdlib.Listener(once, ctl) != once {
		t.Error("a listener is wrapped twice")
	}
	if once.Addr() != l.Addr() {
		t.Errorf("the address is %v", once.Addr())
	}

	t.Run("connections of another type", func(t *testing.T) {
		socket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		client, err := net.Dial("unix", socket.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := stdlib.Listener(socket, ctl).Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, ok := c.(*net.UnixConn); !ok {
			t.Errorf("the connection is a %T", c)
		}
	})
	t.Run("*tls.Conn, which net/http looks for", func(t *testing.T) {
		secure := tls.NewListener(servertest.Listen(t), servertest.NewHTTP(nil).TLSConfig)
		client, err := net.Dial("tcp", secure.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := stdlib.Listener(secure, ctl).Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, ok := c.(*tls.Conn); !ok {
			t.Errorf("the connection is a %T", c)
		}
	})
	t.Run("an error", func(t *testing.T) {
		l.Close()
		if _, err := once.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
	})
}

// accept returns both ends of a connection of Listener's.
func accept(t *testing.T) (server net.Conn, client *clienttest.Conn) {
	t.Helper()
	l := stdlib.Listener(servertest.Listen(t), servertest.NewController(t))
	client = clienttest.Dial(t, l.Addr().String())
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

func TestItsConnectionsAreTCPConnections(t *testing.T) {
	server, _ := accept(t)
	if _, ok := server.(io.ReaderFrom); !ok {
		t.Error("there is no ReadFrom, which sendfile needs")
	}
	if _, ok := server.(interface{ CloseWrite() error }); !ok {
		t.Error("there is no CloseWrite")
	}
	if c, ok := server.(interface{ SetNoDelay(bool) error }); !ok || c.SetNoDelay(true) != nil {
		t.Error("there is no SetNoDelay")
	}
}

func TestWithoutATrackedServerItsConnectionsCloseAsEver(t *testing.T) {
	server, client := accept(t)
	client.Send("unread")
	if err := server.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := server.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if err := server.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetDeadline: %v", err)
	}
	if err := server.SetReadDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetReadDeadline: %v", err)
	}
}

func TestAFileIsServedWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large")
	content := strings.Repeat("0123456789abcdef", 1<<16)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	servertest.OverEach(t, func(t *testing.T, over servertest.Transport) {
		ctl := servertest.NewController(t)
		s := serve(t, ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, ok := w.(io.ReaderFrom); !ok {
				t.Error("the writer has no ReadFrom")
			}
			http.ServeFile(w, r, file)
		}), over.Opts...)
		client := over.Dial(t, s.Address)
		r := client.Get("/")
		if r.Body != content {
			t.Errorf("%d bytes came, want %d", len(r.Body), len(content))
		}
		client.ExpectKept(r)
		ctl.Drain()
		r = client.Get("/", "Range: bytes=16-31")
		if r.Status != http.StatusPartialContent || r.Body != content[:16] || r.Header.Get("Content-Range") != fmt.Sprintf("bytes 16-31/%d", len(content)) {
			t.Errorf("the response is %+v", r)
		}
		client.ExpectClosed(r)
	})
}
