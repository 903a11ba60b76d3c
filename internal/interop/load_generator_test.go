package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Load generators have no names for their requests, so both sides only count.
func TestRestartsUnderALoadGenerator(t *testing.T) {
	ways := []way{politeclose}
	if os.Getenv("POLITECLOSE_FULL") != "" {
		ways = append(ways, shutdown)
	}
	for _, generator := range loadGenerators() {
		for _, way := range ways {
			t.Run(generator.name+"/"+way.name, func(t *testing.T) {
				t.Parallel()
				server := newReplica(t, newBook(), true, way.program(t, nil)...)
				generator.mayGiveUp = way.name == shutdown.name
				load := restartUnderLoad(t, server, generator, "http://"+server.address+"/")
				executed, lost := server.book.executions(), load.started-load.succeeded
				t.Logf("%s, %d restarts: %d requests, %d executed, %d lost", t.Name(), restarts(), load.started, executed, lost)
				if way.name == politeclose.name && (lost > 0 || executed < load.succeeded || executed > load.succeeded+load.abandoned) {
					t.Errorf("%d of %d requests succeeded, %d at most were abandoned, and %d were executed", load.succeeded, load.started, load.abandoned, executed)
				}
			})
		}
	}
}

func TestRestartsUnderH2loadOverHTTP2(t *testing.T) {
	certificate := certificateFlags(t)
	for _, way := range []way{politeclose, shutdown} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			expectLosses(t, way, func() (lost int) {
				server := newReplica(t, newBook(), true, way.program(t, nil, certificate...)...)
				wire := startWire(t, server.address)
				load := restartUnderLoad(t, server, h2load("h2load", "-c", "4", "-m", "8"), "https://"+wire.address+"/")
				return lostOnTheWire(t, wire, load.started, load.succeeded)
			})
		})
	}
}

// loadGenerator is a program that sends what it was told to over keep-alive
// connections, and then prints how much of that succeeded.
type loadGenerator struct {
	name string
	// command is that of one run.
	command func(t *testing.T, url string) []string
	// progress is what it prints as it goes on, and parts how many of these lines
	// are enough between two restarts.
	progress *regexp.Regexp
	parts    int
	// count reads what it has printed. ok is false where the numbers are missing.
	count func(said string) (started, succeeded int, ok bool)
	// abandoned is how many requests a run leaves unanswered at its end, at most.
	abandoned int
	// mayGiveUp is for a way that loses requests: ab comes to wait on each of its
	// connections for an answer that was lost, and fails.
	mayGiveUp bool
}

// loadGenerators has at full size three more: one takes all that the machine has, and
// two have to be fetched.
func loadGenerators() []loadGenerator {
	few := []loadGenerator{h2load("h2load", "--h1", "-c", "16"), ab}
	if os.Getenv("POLITECLOSE_FULL") == "" {
		return few
	}
	return append(few, wrk, hey, k6)
}

// h2load does not come back after a GOAWAY.
func h2load(name string, flags ...string) loadGenerator {
	return loadGenerator{
		name: name,
		command: func(t *testing.T, url string) []string {
			return append([]string{find(t, "h2load"), "-n", "4000", "-d", bodyFile(t), url}, flags...)
		},
		progress: regexp.MustCompile(`^progress: `),
		parts:    3,
		count: func(said string) (started, succeeded int, ok bool) {
			started, ok = number(said, `(?m)^requests: \d+ total, (\d+) started`)
			succeeded, known := number(said, `(?m)^requests: .* done, (\d+) succeeded`)
			return started, succeeded, ok && known
		},
	}
}

// ab speaks HTTP/1.0, with Connection: keep-alive.
var ab = loadGenerator{
	name: "ab",
	command: func(t *testing.T, url string) []string {
		return []string{find(t, "ab"), "-k", "-r", "-s", "15", "-n", "4000", "-c", "16", "-p", bodyFile(t), "-T", "text/plain", url}
	},
	progress: regexp.MustCompile(`^Completed \d+ requests`),
	parts:    3,
	count: func(said string) (started, succeeded int, ok bool) {
		started, ok = number(said, `(?m)^Complete requests: +(\d+)`)
		// It counts a request that was lost in up to three of these, and in their sum.
		lost := 0
		for _, cause := range []string{"Connect", "Receive", "Length", "Exceptions"} {
			n, _ := number(said, cause+`: (\d+)[,)]`)
			lost = max(lost, n)
		}
		refused, _ := number(said, `(?m)^Non-2xx responses: +(\d+)`)
		return started, started - lost - refused, ok
	},
}

// wrk runs for a second, and leaves unanswered what is under way then.
var wrk = loadGenerator{
	name: "wrk",
	command: func(t *testing.T, url string) []string {
		script := write(t, t.TempDir(), "post.lua", fmt.Sprintf("wrk.method = 'POST'\nwrk.body = %q\n", requestBody))
		return []string{find(t, "wrk"), "-t", "1", "-c", "16", "-d", "1s", "-s", script, url}
	},
	progress: regexp.MustCompile(` requests in `),
	parts:    1,
	count: func(said string) (started, succeeded int, ok bool) {
		answered, ok := number(said, `(?m)^ +(\d+) requests in `)
		// A timeout is an answer that was late, and is counted when it comes.
		lost := 0
		for _, cause := range []string{"connect", "read", "write"} {
			n, _ := number(said, cause+` (\d+)`)
			lost += n
		}
		refused, _ := number(said, `Non-2xx or 3xx responses: (\d+)`)
		return answered + lost, answered - refused, ok
	},
	abandoned: 16,
}

const heyRequests = 4000

// hey is a program in Go. It does not print how much it has sent.
var hey = loadGenerator{
	name: "hey",
	command: func(t *testing.T, url string) []string {
		return []string{install(t, "github.com/rakyll/hey@v0.1.5"), "-n", strconv.Itoa(heyRequests), "-c", "16", "-m", "POST", "-D", bodyFile(t), "-T", "text/plain", url}
	},
	progress: regexp.MustCompile(`Requests/sec:`),
	parts:    1,
	count: func(said string) (started, succeeded int, ok bool) {
		succeeded, _ = number(said, `\[200\]\s+(\d+) responses`)
		return heyRequests, succeeded, strings.Contains(said, "Requests/sec:")
	},
}

// k6 is a program in Go that runs a script for each request.
var k6 = loadGenerator{
	name: "k6",
	command: func(t *testing.T, url string) []string {
		script := write(t, t.TempDir(), "post.js", fmt.Sprintf(`import http from 'k6/http'
export const options = { vus: 16, iterations: 4000 }
export default () => { http.post(%q, %q) }
`, url, requestBody))
		return []string{install(t, "go.k6.io/k6@v1.8.1"), "run", "--no-usage-report", "--quiet", script}
	},
	progress: regexp.MustCompile(`http_req_failed`),
	parts:    1,
	count: func(said string) (started, succeeded int, ok bool) {
		failed, _ := number(said, `http_req_failed\W+[\d.]+% +(\d+) out of`)
		started, ok = number(said, `http_req_failed.* out of (\d+)`)
		return started, started - failed, ok
	},
}

// install returns the program of a Go module, which is fetched and built.
func install(t *testing.T, module string) (program string) {
	t.Helper()
	command := exec.Command("go", "install", module)
	command.Env = append(os.Environ(), "GOBIN="+programFolder)
	once(t, command)
	name, _, _ := strings.Cut(path.Base(module), "@")
	return filepath.Join(programFolder, name)
}

// number is what the pattern's group has found, which is missing where there was
// nothing to count.
func number(said, pattern string) (n int, found bool) {
	match := regexp.MustCompile(pattern).FindStringSubmatch(said)
	if match == nil {
		return 0, false
	}
	n, err := strconv.Atoi(match[1])
	return n, err == nil
}

// bodyFile has the body of a request.
func bodyFile(t *testing.T) string {
	t.Helper()
	return write(t, t.TempDir(), "body", string(requestBody))
}

// restartUnderLoad is restartUnder for a load generator, which is run again and
// again.
func restartUnderLoad(t *testing.T, server *replica, generator loadGenerator, url string) *load {
	t.Helper()
	command := generator.command(t, url)
	server.start()
	load := &load{generator: generator, command: command}
	stop := load.start(t)
	letItRun := func() {
		waitForMore(t, "parts of a run", generator.parts, func() int { return int(load.parts.Load()) })
	}
	for range restarts() {
		letItRun()
		server.replace()
	}
	letItRun()
	stop()
	server.stop()
	return load
}

// load is one run of a generator after the other.
type load struct {
	generator loadGenerator
	command   []string
	parts     atomic.Int64 // that it has said to be done
	// Of all runs, once it was stopped.
	started, succeeded, abandoned int
}

// start returns the function that waits for the run under way.
func (l *load) start(t *testing.T) (stop func()) {
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stopping:
				return
			default:
				err := l.run(t)
				switch {
				case err == nil:
				case l.generator.mayGiveUp:
					t.Logf("it gave up: %v", err)
				default:
					t.Error(err)
					return
				}
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		close(stopping)
		<-stopped
	})
	t.Cleanup(stop) // for a test that fails
	return stop
}

func (l *load) run(t *testing.T) error {
	said := &output{}
	hear := func() *lines {
		return &lines{rest: said, understands: func(line string) bool {
			if l.generator.progress.MatchString(line) {
				l.parts.Add(1)
			}
			return false
		}}
	}
	command := exec.CommandContext(t.Context(), l.command[0], l.command[1:]...)
	command.SysProcAttr = processAttributes()
	command.Stdout, command.Stderr = hear(), hear()
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", l.generator.name, err, said.tail())
	}
	started, succeeded, ok := l.generator.count(said.String())
	if !ok {
		return fmt.Errorf("%s has not said how much succeeded:\n%s", l.generator.name, said.tail())
	}
	l.started += started
	l.succeeded += succeeded
	l.abandoned += l.generator.abandoned
	return nil
}
