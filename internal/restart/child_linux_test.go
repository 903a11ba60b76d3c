package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/childtest"
	"github.com/politeclose/politeclose/internal/roundtrip"
)

const roundTripVariable, configVariable = "POLITECLOSE_ROUND_TRIP", "POLITECLOSE_CONFIG"

// outcome is what a child prints.
type outcome struct {
	Result Result
	// SYNsSentAgain counts the SYNs that nobody answered within a second.
	SYNsSentAgain int
	// Standstill is for how long at most the process did not get its turn. In that
	// time nobody answers a SYN, whatever the listeners do.
	Standstill time.Duration
	Problem    string
}

const (
	// longestStandstill leaves half of the second after which a SYN is sent again.
	longestStandstill = 500 * time.Millisecond
	measurements      = 5
)

// measureApart runs c in a child process that has a network to itself and no
// privileges, again where the machine stood still meanwhile. A round trip of 0
// means the loopback.
func measureApart(t *testing.T, roundTrip time.Duration, c Config) outcome {
	t.Helper()
	for range measurements {
		said := measureOnceApart(t, roundTrip, c)
		if said.Standstill < longestStandstill {
			return said
		}
		t.Logf("measured again: the machine stood still for %v", said.Standstill)
	}
	t.Fatal("the machine stood still in each measurement")
	return outcome{}
}

func measureOnceApart(t *testing.T, roundTrip time.Duration, c Config) outcome {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can make a network, and become somebody else")
	}
	if _, err := os.Stat("/dev/net/tun"); roundTrip > 0 && err != nil {
		t.Skipf("no network can be made: %v", err)
	}
	p := childtest.StartWith(t, roundtrip.Namespace(), c.Method.Name,
		roundTripVariable+"="+roundTrip.String(), configVariable+"="+encoded(t, c))
	var said outcome
	if err := json.Unmarshal([]byte(p.Line()), &said); err != nil {
		t.Fatal(err)
	}
	if said.Problem != "" {
		t.Fatal(said.Problem)
	}
	return said
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// child is the main function of a child.
func child() (status int) {
	var said outcome
	var err error
	standstill := watchForStandstill()
	if said.Result, err = measureHere(childtest.Kind()); err == nil {
		said.SYNsSentAgain, err = synsSentAgain()
	}
	said.Standstill = standstill()
	if err != nil {
		said.Problem = err.Error()
	}
	text, err := json.Marshal(said)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(string(text))
	return 0
}

// watchForStandstill returns a function that ends the watch, and returns how late a
// timer was at most.
func watchForStandstill() (longest func() time.Duration) {
	const often = 10 * time.Millisecond
	end, found := make(chan struct{}), make(chan time.Duration)
	go func() {
		var longest time.Duration
		for last := time.Now(); ; {
			select {
			case <-end:
				found <- longest
				return
			case <-time.After(often):
				now := time.Now()
				longest = max(longest, now.Sub(last)-often)
				last = now
			}
		}
	}()
	return func() time.Duration {
		close(end)
		return <-found
	}
}

func measureHere(method string) (Result, error) {
	var c Config
	roundTrip, err := time.ParseDuration(os.Getenv(roundTripVariable))
	if err := errors.Join(err, json.Unmarshal([]byte(os.Getenv(configVariable)), &c)); err != nil {
		return Result{}, err
	}
	for _, known := range listenerMethods() {
		if known.Name == method {
			c.Method = known
		}
	}
	if roundTrip > 0 {
		err = roundtrip.Mirror(roundTrip)
	} else {
		err = roundtrip.Loopback()
	}
	const nobody = 65534
	if err := errors.Join(err, syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
		return Result{}, err
	}
	return Run(context.Background(), c)
}

// synsSentAgain reads the counter of the network namespace. The file has pairs of
// lines: one with names, one with values.
func synsSentAgain() (int, error) {
	text, err := os.ReadFile("/proc/self/net/netstat")
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if i := slices.Index(names, "TCPSynRetrans"); i >= 0 && i < len(fields) {
			return strconv.Atoi(fields[i])
		}
		names = fields
	}
	return 0, errors.New("the kernel does not count TCPSynRetrans")
}
