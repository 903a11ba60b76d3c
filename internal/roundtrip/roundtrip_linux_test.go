package roundtrip

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/childtest"
)

const trip = 20 * time.Millisecond

func TestMain(m *testing.M) {
	if childtest.Kind() != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

func TestAHandshakeTakesARoundTrip(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can make a network")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("no network can be made: %v", err)
	}
	p := childtest.StartWith(t, Namespace(), "connect")
	for range 2 {
		line := p.Line()
		took, err := time.ParseDuration(line[strings.LastIndex(line, " ")+1:])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if took < trip {
			t.Errorf("%s, want %v or more", line, trip)
		}
	}
	p.ExpectStatus(0)
}

// child connects to itself, once over each protocol, and prints how long that took.
func child() (status int) {
	if err := Mirror(trip, 0); err != nil {
		fmt.Println(err)
		return 1
	}
	for here, beyond := range map[string]string{Here4: Beyond4, Here6: Beyond6} {
		listener, err := net.Listen("tcp", net.JoinHostPort(here, "0"))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer listener.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		began := time.Now()
		connection, err := net.Dial("tcp", net.JoinHostPort(beyond, port))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		defer connection.Close()
		fmt.Println("connecting to", beyond, "took", time.Since(began))
	}
	return 0
}
