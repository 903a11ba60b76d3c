package interop

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/politeclose/politeclose/core"
)

const clientsPage = "../../docs/clients.md"

// TestClientTable looks what clients do with an end, and writes the tables of
// docs/clients.md:
//
//	POLITECLOSE_CLIENTS=write go test ./internal/interop -run TestClientTable
//
// Without the variable it only looks whether each client is there.
func TestClientTable(t *testing.T) {
	page, err := os.ReadFile(clientsPage)
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(oneOfEachFamily, moreHTTP1Clients)
	if os.Getenv("POLITECLOSE_CLIENTS") == "" {
		for _, client := range all {
			if !strings.Contains(string(page), "| "+client.name+" ") {
				t.Errorf("docs/clients.md has no row for %s; write it anew", client.name)
			}
		}
		return
	}
	text := writeTable(t, string(page), "HTTP/1.1", http1Table, all, func(t *testing.T, client client) string {
		var row []string
		for _, scene := range scenes {
			row = append(row, scene.watch(t, client.start))
		}
		return strings.Join(row, " | ")
	})
	text = writeTable(t, text, "HTTP/2", http2Table, http2Clients, func(t *testing.T, client client) string {
		return watchHTTP2(t, client.start)
	})
	if t.Failed() {
		return
	}
	if err := os.WriteFile(clientsPage, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const (
	http1Table = "| client | at `Connection: close` | silent close, before its next request | silent close that a request crosses | " +
		"408 that a request crosses | `Keep-Alive: timeout` |\n| --- | --- | --- | --- | --- | --- |\n"
	http2Table = "| client | requests, connections | failed, and with what | executed and reported as failed |\n| --- | --- | --- | --- |\n"
)

// writeTable puts a table with a row for each client where the text has its name.
func writeTable(t *testing.T, text, name, head string, clients []client, cells func(*testing.T, client) string) string {
	t.Helper()
	before, rest, begun := strings.Cut(text, "<!-- "+name+" -->\n")
	_, after, ended := strings.Cut(rest, "<!-- end of "+name+" -->\n")
	if !begun || !ended {
		t.Fatalf("docs/clients.md has no place for the table of %s", name)
	}
	rows := make([]string, len(clients))
	t.Run(name, func(t *testing.T) {
		for i, client := range clients {
			t.Run(client.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = "| " + client.name + " " + version(t, client.name) + " | " + cells(t, client) + " |\n"
			})
		}
	})
	if slices.Contains(rows, "") {
		t.Errorf("the table of %s is not complete, and was not written", name)
	}
	return before + "<!-- " + name + " -->\n" + head + strings.Join(rows, "") + "<!-- end of " + name + " -->\n" + after
}

// version is what the client's runtime and package say of themselves.
func version(t *testing.T, client string) string {
	t.Helper()
	family, module, _ := strings.Cut(client, " ")
	var command *exec.Cmd
	switch family {
	case "Go":
		return runtime.Version()
	case "Node":
		script := "process.version"
		if name := strings.ToLower(strings.Fields(module)[0]); slices.Contains([]string{"undici", "axios", "got", "agentkeepalive"}, name) {
			script = "JSON.parse(fs.readFileSync('testdata/node_modules/" + name + "/package.json')).version + ' on ' + process.version"
		}
		command = exec.Command(find(t, "node", "nodejs"), "-p", script)
	case "Node22":
		command = exec.Command(node22, "-p", "JSON.parse(fs.readFileSync('testdata/node22/node_modules/undici/package.json')).version + ' on ' + process.version")
	case "Python":
		name := strings.Fields(module)[0]
		script := "import platform; print('on', platform.python_version())"
		if name != "http.client" {
			script = "import platform, " + name + "; print(" + name + ".__version__, 'on', platform.python_version())"
		}
		command = exec.Command(findPython(t, strings.Split(name, " ")[0]), "-c", script)
	case "libsoup":
		command = exec.Command(findPython(t, "gi"), "-c", `import gi; gi.require_version("Soup", "3.0"); from gi.repository import Soup as s; `+
			`print(s.get_major_version(), s.get_minor_version(), s.get_micro_version(), sep=".")`)
	case "Java":
		command = exec.Command(find(t, "java"), "--version")
	case "Ruby":
		command = exec.Command(find(t, "ruby"), "-e", "puts RUBY_VERSION")
	case "Chromium":
		command = exec.Command(find(t, "chromium"), "--version")
	case "Firefox":
		command = exec.Command(find(t, "firefox-esr", "firefox"), "--version")
	case "PHP":
		command = exec.Command(find(t, "php"), "-r", `echo PHP_VERSION, " with curl ", curl_version()["version"];`)
	default:
		command = exec.Command(find(t, "curl"), "--version")
	}
	said, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(string(said)), "\n")
	switch fields := strings.Fields(first); family {
	case "Java":
		return jarVersion(t, module) + fields[1]
	case "curl", "Chromium":
		return fields[1]
	case "Firefox":
		return fields[2]
	}
	return first
}

// jarVersion is that of a client which is not part of Java. Debian names it in a
// link to the jar.
func jarVersion(t *testing.T, client string) string {
	t.Helper()
	library, _, _ := strings.Cut(client, " ")
	jar, ok := map[string]string{"Apache": "httpclient5", "OkHttp": "okhttp"}[library]
	if !ok {
		return ""
	}
	links, err := filepath.Glob(jarFolder + jar + "-[0-9]*.jar")
	if err != nil || len(links) != 1 {
		t.Fatalf("the version of %s: %v, %v", jar, links, err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(links[0], jarFolder+jar+"-"), ".jar") + " on "
}

// A scene is a server that ends connections in one way, and what a client makes of
// it, which sends four requests after each other.
type scene struct {
	think time.Duration
	// act answers the n-th request of a connection, and reports whether it is kept.
	act     func(n int, conn net.Conn, r *http.Request) (kept bool)
	observe func(stage *stage, r result) string
}

const sceneAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n%s\r\n" + answer

func answerWith(conn net.Conn, lines string) { fmt.Fprintf(conn, sceneAnswer, lines) }

func answerAndClose(lines string) func(int, net.Conn, *http.Request) bool {
	return func(_ int, conn net.Conn, _ *http.Request) bool {
		answerWith(conn, lines)
		return false
	}
}

func failsOr(otherwise string) func(*stage, result) string {
	return func(_ *stage, r result) string {
		if r.lost > 0 {
			return "fails: " + causes(r)
		}
		return otherwise
	}
}

var scenes = []scene{
	{ // Connection: close
		think:   20 * time.Millisecond,
		act:     answerAndClose("Connection: close\r\n"),
		observe: failsOr("opens another"),
	},
	{ // the end is there when the next request leaves
		think:   50 * time.Millisecond,
		act:     answerAndClose(""),
		observe: failsOr("sees it"),
	},
	silentCrossing,
	answeredCrossing,
	{ // Keep-Alive: timeout=1
		think: 1300 * time.Millisecond,
		act: func(_ int, conn net.Conn, _ *http.Request) bool {
			answerWith(conn, "Keep-Alive: timeout=1\r\n")
			return true
		},
		observe: func(s *stage, _ result) string {
			if s.connections > 1 {
				return "keeps to it"
			}
			return "ignores it"
		},
	},
}

// A request crosses the end of a connection that has had one before.
var (
	silentCrossing = scene{
		think: 20 * time.Millisecond,
		act: func(n int, conn net.Conn, _ *http.Request) bool {
			if n == 1 {
				answerWith(conn, "")
			}
			return n == 1
		},
		observe: observeCrossing,
	}
	answeredCrossing = scene{
		think: 20 * time.Millisecond,
		act: func(n int, conn net.Conn, _ *http.Request) bool {
			if n == 1 {
				answerWith(conn, "")
				return true
			}
			io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			return false
		},
		observe: observeCrossing,
	}
)

func observeCrossing(s *stage, r result) string {
	switch {
	case r.lost > 0:
		return "fails: " + causes(r)
	case s.again > 0:
		return "sends it again, a POST"
	}
	return "not met"
}

func causes(r result) string {
	var all []string
	for cause := range r.causes {
		all = append(all, "`"+strings.ReplaceAll(address.ReplaceAllString(cause, ""), "|", "\\|")+"`")
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ", ")
}

// address is different for each connection.
var address = regexp.MustCompile(`/?\d+(\.\d+){3}:\d+:? `)

// stage counts what a scene's server has seen.
type stage struct {
	mu          sync.Mutex
	connections int
	names       map[string]bool
	again       int // requests that came a second time
	crossed     int // requests that were not a connection's first
}

func (scene scene) watch(t *testing.T, start startTraffic) string {
	s, address, end := scene.open(t)
	b := newBook()
	start(t, traffic{url: "http://" + address + "/", workers: 1, each: 4, think: scene.think, answer: answer}, b)()
	end()
	return scene.observe(s, b.losses())
}

// open starts the server of a scene. end waits until its clients have gone, after
// which the stage may be read.
func (scene scene) open(t *testing.T) (s *stage, address string, end func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &stage{names: make(map[string]bool)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn, scene) })
		}
	})
	end = sync.OnceFunc(func() {
		listener.Close()
		serving.Wait()
	})
	return s, listener.Addr().String(), end
}

// losses is result without a look at who executed what: a scene's server says
// nothing of that.
func (b *book) losses() result {
	r := result{causes: map[string]int{}}
	for _, cause := range b.heard {
		if cause != "" {
			r.lost++
			r.causes[cause]++
		}
	}
	return r
}

func (s *stage) serve(conn net.Conn, scene scene) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	for n := 1; ; n++ {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if r.Header.Get("Expect") != "" {
			io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		s.see(n, r.Header.Get(idHeader))
		if !scene.act(n, conn, r) {
			return
		}
	}
}

func (s *stage) see(n int, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n == 1 {
		s.connections++
	} else {
		s.crossed++
	}
	if s.names[name] {
		s.again++
	}
	s.names[name] = true
}

// watchHTTP2 ends connections by their age, with sixteen requests under way, as a
// drain does it.
func watchHTTP2(t *testing.T, start startTraffic) string {
	b := newBook()
	server := startObserved(t, b, true, core.OnAge(ageLimit), unlimited)
	start(t, traffic{url: "https://" + server.address + "/", workers: 16, each: 20, think: 5 * time.Millisecond, answer: answer}, b)()
	r := b.result(t)
	if r.lost == r.requests {
		t.Errorf("%v", r)
	}
	_, seen := server.end(t)
	failed := "0"
	if r.lost > 0 {
		failed = fmt.Sprintf("%d: %s", r.lost, causes(r))
	}
	return fmt.Sprintf("%d, %d | %s | %d", r.requests, len(seen), failed, r.lostExecuted)
}
