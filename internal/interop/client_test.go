package interop

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// traffic is what a client sends: POSTs, one after the other on each of its
// workers' keep-alive connections.
type traffic struct {
	url     string
	workers int
	// think is how long a worker waits between an answer and its next request;
	// more than 0.
	think time.Duration
	// each is the number of requests of each worker; 0 = until stopped.
	each int
	// answer is what the server answers.
	answer string
}

// startTraffic sends traffic and enters every request in the book. stop lets each
// worker end its request; it returns when all of them have ended. Where the
// traffic has an end of its own, stop waits for it.
type startTraffic func(t *testing.T, to traffic, b *book) (stop func())

type client struct {
	name  string
	start startTraffic
}

// http1Clients has one client of each family, and all of them at full size. The race
// detector, which slows everything down, finds with four of them what it can find:
// the others are programs of their own.
func http1Clients() []client {
	switch {
	case underRaceDetector:
		return fewClients
	case os.Getenv("POLITECLOSE_FULL") == "":
		return oneOfEachFamily
	}
	return slices.Concat(oneOfEachFamily, moreHTTP1Clients)
}

var (
	fewClients = []client{
		{"Go", startGo},
		{"Node http.Agent", startNode("agent")},
		{"Python http.client", startPython("http.client")},
		{"curl", startCurl},
	}
	oneOfEachFamily = append(slices.Clip(fewClients), []client{
		{"Node fetch", startNode("fetch")},
		{"Node undici Pool", startNode("undici")},
		{"Python requests", startPython("requests")},
		{"Python aiohttp", startAiohttp},
		{"Java HttpClient", startJava("Client", "HttpClient")},
		{"Ruby Net::HTTP", startScript("client.rb", "ruby")},
		{"PHP curl", startScript("client.php", "php")},
		{"libsoup idempotent", startSoup},
	}...)
	moreHTTP1Clients = []client{
		{"Node undici fetch", startNode("undici-fetch")},
		{"Node undici pipelining", startNode("undici-pipelining")},
		{"Node22 undici Pool", startNode22("undici8")},
		{"Node22 undici fetch", startNode22("undici8-fetch")},
		{"Node22 undici pipelining", startNode22("undici8-pipelining")},
		{"Node axios", startNode("axios")},
		{"Node got", startNode("got")},
		{"Node agentkeepalive", startNode("agentkeepalive")},
		{"Python urllib3", startPython("urllib3")},
		{"Python httpx", startPython("httpx")},
		{"Java HttpURLConnection", startJava("Client", "HttpURLConnection")},
		{"Java Apache HttpClient", startJava("Apache", "HttpClient", apacheJars...)},
		{"Java OkHttp", startJava("Square", "OkHttp", squareJars...)},
		{"Chromium fetch", startBrowser(chromium)},
		{"Firefox fetch", startBrowser(firefox)},
	}
)

// pipelining are the clients that send a request before the one in front of it is
// answered: what they have sent behind the announced answer is not executed, and they
// send it again.
var pipelining = []string{"Node undici pipelining", "Node22 undici pipelining"}

// startProgram starts a program that takes the traffic as its arguments, prints a
// line for each request (its name, and after a tab the cause if it was lost), and
// stops when its standard input is closed.
func startProgram(t *testing.T, to traffic, b *book, program ...string) (stop func()) {
	t.Helper()
	milliseconds := strconv.FormatFloat(float64(to.think)/float64(time.Millisecond), 'f', -1, 64)
	arguments := append(program[1:], to.url, strconv.Itoa(to.workers), milliseconds, strconv.Itoa(to.each), to.answer)
	p := startProcess(t, exec.Command(program[0], arguments...), func(line string) bool {
		id, cause, _ := strings.Cut(line, "\t")
		b.client(id, cause)
		return true
	})
	return func() {
		t.Helper()
		if to.each == 0 {
			p.input.Close()
		}
		p.expectEnd()
	}
}

// http2Clients are those of docs/clients.md.
var http2Clients = []client{
	{"Go net/http", startGo},
	{"Node http2", startNode("http2")},
	{"Node undici allowH2", startNode("undici-h2")},
	{"Node22 undici allowH2", startNode22("undici8-h2")},
	{"Node got http2", startNode("got-h2")},
	{"Python httpx http2", startPython("httpx-h2")},
	{"libsoup idempotent", startSoup},
	{"Java HttpClient", startJava("Client", "HttpClient-h2")},
	{"Java Apache HttpClient async", startJava("Apache", "HttpClient-h2", apacheJars...)},
	{"Java OkHttp", startJava("Square", "OkHttp-h2", squareJars...)},
	{"Chromium fetch", startBrowser(chromium)},
	{"Firefox fetch", startBrowser(firefox)},
}

func http2ClientsOfFullSize() []client {
	if os.Getenv("POLITECLOSE_FULL") == "" {
		return nil
	}
	return http2Clients
}

var (
	apacheJars = []string{"httpclient5", "httpcore5", "httpcore5-h2", "slf4j-api", "slf4j-nop"}
	squareJars = []string{"okhttp", "okio"}
)

// startScript runs a script of testdata with the first of these interpreters that
// there is.
func startScript(script string, interpreters ...string) startTraffic {
	return func(t *testing.T, to traffic, b *book) func() {
		t.Helper()
		return startProgram(t, to, b, find(t, interpreters...), "testdata/"+script)
	}
}

// startNode runs Node's own clients, and those that npm has installed.
func startNode(kind string) startTraffic {
	return func(t *testing.T, to traffic, b *book) func() {
		t.Helper()
		if module, _, _ := strings.Cut(kind, "-"); slices.Contains([]string{"undici", "axios", "got", "agentkeepalive"}, module) {
			findModule(t, module)
		}
		return startProgram(t, to, b, find(t, "node", "nodejs"), "testdata/client.mjs", kind)
	}
}

// findModule skips a test where npm has not installed a package.
func findModule(t *testing.T, module string) {
	t.Helper()
	if _, err := os.Stat("testdata/node_modules/" + module); err != nil {
		t.Skipf("%s is not installed: run 'npm install --no-package-lock' in internal/interop/testdata, as .ci/run does", module)
	}
}

// node22 is the Node that undici 8 wants, which is newer than Debian's.
const node22 = "testdata/node22/node_modules/node/bin/node"

func startNode22(kind string) startTraffic {
	return func(t *testing.T, to traffic, b *book) func() {
		t.Helper()
		if _, err := os.Stat(node22); err != nil {
			t.Skip("Node 22 is not installed: run 'npm install --no-package-lock' in internal/interop/testdata/node22, as .ci/full does")
		}
		return startProgram(t, to, b, node22, "testdata/client.mjs", kind)
	}
}

func startPython(kind string) startTraffic {
	module, protocol, _ := strings.Cut(kind, "-")
	return func(t *testing.T, to traffic, b *book) func() {
		t.Helper()
		if protocol != "" {
			findPython(t, protocol) // httpx takes it from a module of this name
		}
		return startProgram(t, to, b, findPython(t, module), "testdata/client.py", kind)
	}
}

func startAiohttp(t *testing.T, to traffic, b *book) (stop func()) {
	t.Helper()
	return startProgram(t, to, b, findPython(t, "aiohttp"), "testdata/client_aiohttp.py")
}

// startSoup runs libsoup, which is C, by its bindings for Python.
func startSoup(t *testing.T, to traffic, b *book) (stop func()) {
	t.Helper()
	return startProgram(t, to, b, findPython(t, "gi; gi.require_version('Soup', '3.0')"), "testdata/client_soup.py")
}

// findPython returns an interpreter that has the module. The first one in PATH
// need not be the one that sees Debian's packages.
func findPython(t *testing.T, module string) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "import "+module).Run() == nil {
			return name
		}
	}
	t.Skipf("no Python 3 with the module %s is installed; .ci/run installs it on Debian", module)
	return ""
}

// startJava runs a class of testdata with these jars.
func startJava(class, kind string, jars ...string) startTraffic {
	return func(t *testing.T, to traffic, b *book) func() {
		t.Helper()
		program, compiler := find(t, "java"), find(t, "javac")
		folder := filepath.Join(programFolder, class)
		path := folder
		for _, jar := range jars {
			path += string(filepath.ListSeparator) + findJar(t, jar)
		}
		once(t, exec.Command(compiler, "-d", folder, "-cp", path, "-sourcepath", "testdata", "testdata/"+class+".java"))
		return startProgram(t, to, b, program, "-XX:TieredStopAtLevel=1", "-cp", path, class, kind)
	}
}

const jarFolder = "/usr/share/java/"

// findJar returns the path of a jar that Debian has installed.
func findJar(t *testing.T, name string) string {
	t.Helper()
	path := jarFolder + name + ".jar"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not installed; .ci/full installs it on Debian", path)
	}
	return path
}

// startWorkers has each worker work to.each times, or until stopped, and end.
func startWorkers(t *testing.T, to traffic, worker func() (work func(id string), end func())) (stop func()) {
	stopping := make(chan struct{})
	var workers sync.WaitGroup
	for w := range to.workers {
		workers.Go(func() {
			work, end := worker()
			defer end()
			for n := 1; to.each == 0 || n <= to.each; n++ {
				select {
				case <-stopping:
					return
				case <-time.After(to.think):
				}
				work(fmt.Sprintf("%d-%d", w+1, n))
			}
		})
	}
	cut := sync.OnceFunc(func() {
		close(stopping)
		workers.Wait()
	})
	t.Cleanup(cut) // for a test that fails
	if to.each > 0 {
		return workers.Wait
	}
	return cut
}

// requestBody makes the request one that a client must not repeat by itself.
var requestBody = bytes.Repeat([]byte("politeclose "), 20)

func startGo(t *testing.T, to traffic, b *book) (stop func()) {
	return startWorkers(t, to, func() (work func(string), end func()) {
		transport := &http.Transport{
			DisableCompression: true, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // nothing but loopback is dialled
		}
		return func(id string) { b.client(id, post(transport, to, id)) }, transport.CloseIdleConnections
	})
}

// post returns why the request was lost, "" if it was not.
func post(transport *http.Transport, to traffic, id string) (cause string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// The reader is hidden, or http.NewRequest would set GetBody and with it
	// allow the transport to send the request a second time.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, struct{ io.Reader }{bytes.NewReader(requestBody)})
	if err != nil {
		return err.Error()
	}
	request.ContentLength = int64(len(requestBody))
	request.Header.Set(idHeader, id)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return withoutAddress(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "truncated: " + withoutAddress(err)
	case response.StatusCode != http.StatusOK:
		return fmt.Sprintf("status %d", response.StatusCode)
	case string(answer) != to.answer:
		return "another answer"
	}
	return ""
}

// withoutAddress is the innermost error, which is the same for every connection.
func withoutAddress(err error) string {
	if number, ok := errors.AsType[syscall.Errno](err); ok {
		return number.Error()
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// startCurl has each worker run curl with many URLs at a time, which uses one
// connection for all of them.
func startCurl(t *testing.T, to traffic, b *book) (stop func()) {
	program := find(t, "curl")
	const urls = 100
	batches := to
	batches.each = (to.each + urls - 1) / urls
	return startWorkers(t, batches, func() (work func(string), end func()) {
		return func(batch string) {
			n := urls
			if to.each > 0 {
				n = min(urls, to.each)
			}
			curl(t, program, to, batch, n, b)
		}, func() {}
	})
}

func curl(t *testing.T, program string, to traffic, batch string, urls int, b *book) {
	var config strings.Builder
	fmt.Fprintf(&config, "rate = %d/h\n", time.Hour/to.think)
	for n := range urls {
		id := fmt.Sprintf("%s-%d", batch, n+1)
		fmt.Fprintf(&config, "url = %q\nheader = \"%s: %s\"\ndata = %q\noutput = /dev/null\nmax-time = %d\nsilent\n",
			to.url, idHeader, id, requestBody, int(patience.Seconds()))
		fmt.Fprintf(&config, "write-out = \"%s\\t%%{http_code} with %%{size_download} bytes\\t%%{errormsg}\\n\"\nnext\n", id)
	}
	command := exec.Command(program, "--http1.1", "--config", "-")
	command.Stdin = strings.NewReader(config.String())
	command.SysProcAttr = processAttributes()
	said, err := command.Output()
	if err != nil && len(said) == 0 {
		t.Errorf("curl: %v", err)
	}
	complete := fmt.Sprintf("200 with %d bytes", len(to.answer))
	for line := range strings.Lines(string(said)) {
		field := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(field) != 3 {
			t.Errorf("curl said %q", line)
			continue
		}
		id, answer, cause := field[0], field[1], field[2]
		if cause == "" && answer != complete {
			cause = answer
		}
		b.client(id, cause)
	}
}
