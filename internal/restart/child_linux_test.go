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
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/roundtrip"
)

const (
	roundTripVariable = "POLITECLOSE_ROUND_TRIP"
	lossVariable      = "POLITECLOSE_PACKET_LOSS"
	configVariable    = "POLITECLOSE_CONFIG"
)

// network is what a child has to itself. Without a round trip it is the loopback.
type network struct {
	roundTrip time.Duration
	loss      float64 // share of the packets
}

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

// noticed reports whether a client has noticed a restart.
func (o outcome) noticed() bool {
	return o.Result.Lost > 0 || o.Result.Refused > 0 || o.SYNsSentAgain > fewSYNs
}

// stood is for how long the machine stood still. A SYN that was sent again makes one
// answer late: where more were late the machine took that long for them, and may have
// taken as long for the SYNs.
func (o outcome) stood() time.Duration {
	if o.Result.Delayed > o.SYNsSentAgain {
		return max(o.Standstill, o.Result.Slowest)
	}
	return o.Standstill
}

// measureApart runs c in a child process that has a network to itself and no
// privileges.
func measureApart(t *testing.T, n network, c Config) outcome {
	t.Helper()
	return clienttest.Undisturbed(t, func() (outcome, time.Duration) {
		said := measureOnceApart(t, n, c)
		return said, said.stood()
	}, outcome.noticed)
}

func measureOnceApart(t *testing.T, n network, c Config) outcome {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only the superuser can make a network, and become somebody else")
	}
	if _, err := os.Stat("/dev/net/tun"); n.roundTrip > 0 && err != nil {
		t.Skipf("no network can be made: %v", err)
	}
	p := childtest.StartWith(t, roundtrip.Namespace(), c.Method.Name,
		roundTripVariable+"="+n.roundTrip.String(), lossVariable+"="+strconv.FormatFloat(n.loss, 'g', -1, 64), configVariable+"="+encoded(t, c))
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
	standstill := clienttest.WatchForStandstill()
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

func measureHere(method string) (Result, error) {
	var c Config
	roundTrip, err := time.ParseDuration(os.Getenv(roundTripVariable))
	loss, unknownLoss := strconv.ParseFloat(os.Getenv(lossVariable), 64)
	if err := errors.Join(err, unknownLoss, json.Unmarshal([]byte(os.Getenv(configVariable)), &c)); err != nil {
		return Result{}, err
	}
	for _, known := range append(listenerMethods(), Politeclose(NetHTTP)) {
		if known.Name == method {
			c.Method = known
		}
	}
	if roundTrip > 0 {
		err = roundtrip.Mirror(roundTrip, loss)
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
