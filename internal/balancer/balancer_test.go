package balancer_test

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/balancer"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/freeport"
)

func TestPolicies(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy balancer.Policy
		given  [][]int
		want   []int
	}{
		{"round robin does not look", balancer.RoundRobin(), [][]int{{9, 0, 0}, {9, 0, 0}, {9, 0, 0}, {9, 0, 0}}, []int{0, 1, 2, 0}},
		{"the fewest", balancer.LeastConnections(), [][]int{{3, 2, 1}, {3, 2, 1}, {3, 0, 1}, {0, 2, 1}}, []int{2, 2, 1, 0}},
		{"equally many in turn", balancer.LeastConnections(), [][]int{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {2, 1, 1}}, []int{0, 1, 2, 1}},
	} {
		var got []int
		for _, connections := range test.given {
			got = append(got, test.policy(connections))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// backend answers each connection with its name, and then echoes it.
func backend(t *testing.T, name string) string {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, name)
				io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func connect(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(clienttest.Patience))
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func TestAConnectionStaysWithItsBackendUntilBothSidesHaveClosed(t *testing.T) {
	l := listen(t)
	b := balancer.Start(l, balancer.LeastConnections(), backend(t, "a"), backend(t, "b"))
	defer b.Close()
	ask := func() (*net.TCPConn, string) {
		c := connect(t, l.Addr().String())
		name := make([]byte, 1)
		if _, err := io.ReadFull(c, name); err != nil {
			t.Fatal(err)
		}
		return c, string(name)
	}
	first, name := ask()
	if name != "a" {
		t.Fatalf("the first went to %s", name)
	}
	if _, name := ask(); name != "b" {
		t.Fatalf("the second went to %s", name)
	}
	io.WriteString(first, "hello")
	first.CloseWrite()
	if got, err := io.ReadAll(first); string(got) != "hello" || err != nil {
		t.Fatalf("after the client's half-close %q came back, %v", got, err)
	}
	// It counts until the balancer has seen the end.
	clienttest.Eventually(t, "the next goes to a again", func() bool { _, name := ask(); return name == "a" })
}

func TestABackendThatIsNotThereClosesTheConnection(t *testing.T) {
	gone, err := freeport.Address("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	b := balancer.Start(l, balancer.RoundRobin(), gone)
	defer b.Close()
	if got, err := io.ReadAll(connect(t, l.Addr().String())); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	l := listen(t)
	b := balancer.Start(l, balancer.RoundRobin(), backend(t, "a"))
	c := connect(t, l.Addr().String())
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := io.ReadAll(c); err != nil && !isReset(err) {
		t.Errorf("the connection did not end: %v", err)
	}
	clienttest.ExpectNoGoroutine(t, "balancer.(*Balancer)")
}

// isReset tells a reset from a timeout.
func isReset(err error) bool {
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
