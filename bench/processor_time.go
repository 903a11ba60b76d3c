package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// serverVariable names, in a child process, the protocol and the arrangement that
// it is to serve with.
const serverVariable = "POLITECLOSE_BENCH_SERVER"

// servesForParent serves where this is a child process, until its input ends. Each
// line of the input is answered with the processor time of the process so far, in
// nanoseconds; before that comes the address.
func servesForParent(all func(protocol) []arrangement) (served bool, err error) {
	p, name, ok := strings.Cut(os.Getenv(serverVariable), ": ")
	if !ok {
		return false, nil
	}
	known := all(protocol(p))
	i := slices.IndexFunc(known, func(a arrangement) bool { return a.name == name })
	if i < 0 {
		return true, fmt.Errorf("there is no arrangement %q", name)
	}
	t, err := newTraffic(known[i], protocol(p))
	if err != nil {
		return true, err
	}
	fmt.Println(t.server.address)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		used, err := processorTime()
		if err != nil {
			return true, errors.Join(err, t.close())
		}
		fmt.Println(int64(used))
	}
	return true, t.close()
}

// conditions are those under which a server in a process of its own serves.
type conditions struct {
	protocol protocol
	procs    int // GOMAXPROCS
}

// allConditions are every protocol with all processors, and HTTP/1.1 with one
// and two where there are more.
func allConditions() (all []conditions) {
	for _, procs := range []int{1, 2} {
		if procs < runtime.GOMAXPROCS(0) {
			all = append(all, conditions{http1, procs})
		}
	}
	for _, p := range []protocol{http1, https, http2} {
		all = append(all, conditions{p, runtime.GOMAXPROCS(0)})
	}
	return all
}

func (c conditions) String() string { return fmt.Sprintf("%s, GOMAXPROCS %d", c.protocol, c.procs) }

// remoteTraffic is traffic to a server in a process of its own.
type remoteTraffic struct {
	traffic
	process *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
	before  time.Duration
}

func newRemoteTraffic(a arrangement, c conditions) (*remoteTraffic, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t := &remoteTraffic{process: exec.Command(executable)}
	// The race detector's own pause at the exit is a second.
	t.process.Env = append(os.Environ(), fmt.Sprintf("%s=%s: %s", serverVariable, c.protocol, a.name),
		fmt.Sprintf("GOMAXPROCS=%d", c.procs), "GORACE=atexit_sleep_ms=0")
	t.process.Stderr = os.Stderr
	if t.ask, err = t.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := t.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	t.answers = bufio.NewReader(out)
	if err := t.process.Start(); err != nil {
		return nil, err
	}
	address, err := t.answers.ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	t.traffic = traffic{protocol: c.protocol, server: &server{address: strings.TrimSpace(address)}}
	return t, nil
}

// used is the processor time of the server's process so far.
func (t *remoteTraffic) used() (used time.Duration, err error) {
	if _, err := fmt.Fprintln(t.ask); err != nil {
		return 0, err
	}
	_, err = fmt.Fscanln(t.answers, &used)
	return used, err
}

func (t *remoteTraffic) connect() (err error) {
	if err = t.traffic.connect(); err == nil {
		t.before, err = t.used()
	}
	return err
}

// perRequest is the server's processor time for each request since connect, in
// nanoseconds.
func (t *remoteTraffic) perRequest() (float64, error) {
	after, err := t.used()
	return float64(after-t.before) / float64(t.requests), err
}

func (t *remoteTraffic) close() error {
	t.disconnect()
	t.ask.Close()
	return t.process.Wait()
}

// processorTimes has one value for each triple.
type processorTimes struct {
	perRequest     []float64 // nanoseconds
	basePerRequest []float64
	ratio          []float64 // to the mean of the triple's bases
	aa             []float64 // of one base to the other
}

// measureProcessorTime is measureThroughput with servers in processes of their own.
func measureProcessorTime(ctx context.Context, c conditions, a, base arrangement, size sizes) (rates throughput, times processorTimes, err error) {
	var sides []*remoteTraffic
	defer func() {
		for _, side := range sides {
			err = errors.Join(err, side.close())
		}
	}()
	for _, arranged := range []arrangement{base, a, base} {
		side, err := newRemoteTraffic(arranged, c)
		if err != nil {
			return rates, times, fmt.Errorf("%s: %w", arranged.name, err)
		}
		sides = append(sides, side)
	}
	for triple := range size.triples {
		var perRequest [3]float64
		if err := takeTurns(ctx, c.protocol, triple, sides, size); err != nil {
			return rates, times, fmt.Errorf("%s: %w", a.name, err)
		}
		for i, side := range sides {
			if perRequest[i], err = side.perRequest(); err != nil {
				return rates, times, fmt.Errorf("%s: %w", a.name, err)
			}
		}
		rates.add(sides[0].rate(), sides[1].rate(), sides[2].rate())
		alone := (perRequest[0] + perRequest[2]) / 2
		times.perRequest = append(times.perRequest, perRequest[1])
		times.basePerRequest = append(times.basePerRequest, alone)
		times.ratio = append(times.ratio, perRequest[1]/alone)
		times.aa = append(times.aa, perRequest[2]/perRequest[0])
	}
	return rates, times, nil
}

func processorTimeSection(ctx context.Context, size sizes) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, `## Processor time per request

The same traffic, %d measurements of %v a side, to servers in processes of their own: what getrusage says of the server, the
kernel's part included, over its requests. Beside it the requests per second of the same run. Bounds are those of 95 %%, the
upper one for time, the lower one for requests. Instructions are not in the table: few machines count them for a guest.

`, size.triples, size.sideTime)
	if _, err := processorTime(); errors.Is(err, errors.ErrUnsupported) {
		return text.String() + "This system does not tell the time.\n", nil
	}
	t := newTable("server", "time", "alone", "ratio", "upper bound", "A/A", "its bound", "requests/s, ratio", "lower bound", "A/A", "its bound")
	for _, c := range allConditions() {
		for _, a := range polite(netHTTP) {
			rates, times, err := measureProcessorTime(ctx, c, a, bare(netHTTP), size)
			if err != nil {
				return "", fmt.Errorf("processor time over %v: %w", c, err)
			}
			t.row(c.String()+", "+a.name, nanoseconds(median(times.perRequest)), nanoseconds(median(times.basePerRequest)),
				precise(median(times.ratio)), precise(upperBound(times.ratio)), precise(median(times.aa)), precise(upperBound(times.aa)),
				precise(median(rates.ratio)), precise(lowerBound(rates.ratio)), precise(median(rates.aa)), precise(lowerBound(rates.aa)))
		}
	}
	fmt.Fprintf(&text, "%s\n", t)
	return text.String(), nil
}
