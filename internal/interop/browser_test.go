package interop

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// A browser runs testdata/fetch.html. Its page has to come from where its requests
// go, and the servers have no page: a relay answers for it, and passes on every other
// connection as it is. Over HTTP/2 that is startSecurePageRelay.

func chromium(t *testing.T, page string) *exec.Cmd {
	return exec.Command(find(t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--ignore-certificate-errors", // nothing but loopback is asked
		"--remote-debugging-port=0", "--user-data-dir="+profileFolder(t), page)
}

func firefox(t *testing.T, page string) *exec.Cmd {
	program := find(t, "firefox-esr", "firefox")
	folder := profileFolder(t)
	write(t, folder, "user.js", `user_pref("browser.aboutwelcome.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
`)
	trustCertificate(t, folder, page)
	command := exec.Command(program, "--headless", "--no-remote", "--profile", folder, page)
	command.Env = append(os.Environ(), "HOME="+folder)
	return command
}

// profileFolder is a t.TempDir into which a browser's children may still write when
// the browser has ended.
func profileFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "politeclose-browser") //nolint:usetesting // that tries once
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		clienttest.Eventually(t, "the browser's profile can be removed", func() bool { return os.RemoveAll(folder) == nil })
	})
	return folder
}

func startBrowser(browser func(t *testing.T, page string) *exec.Cmd) startTraffic {
	return func(t *testing.T, to traffic, b *book) func() {
		t.Helper()
		var stopping atomic.Bool
		ended := make(chan struct{})
		control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			said, _ := io.ReadAll(r.Body)
			for line := range strings.Lines(string(said)) {
				id, cause, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
				b.client(id, cause)
			}
			w.Header().Set("Access-Control-Allow-Origin", "*")
			if stopping.Load() {
				io.WriteString(w, "stop")
			}
			if r.URL.Path == "/ended" {
				close(ended)
			}
		}))
		t.Cleanup(control.Close)
		settings, err := json.Marshal(map[string]any{
			"control": control.URL, "workers": to.workers, "each": to.each, "expected": to.answer,
			"think": float64(to.think) / float64(time.Millisecond),
		})
		if err != nil {
			t.Fatal(err)
		}
		target, err := url.Parse(to.url)
		if err != nil {
			t.Fatal(err)
		}
		relay := startPageRelay
		if target.Scheme == "https" {
			relay = startSecurePageRelay
		}
		page := target.Scheme + "://" + relay(t, target.Host) + pagePath + "#" + url.PathEscape(string(settings))
		p := startProcess(t, browser(t, page), nil)
		return func() {
			t.Helper()
			if to.each == 0 {
				stopping.Store(true)
			}
			clienttest.Receive(t, "the end of the browser's requests", ended)
			p.end()
		}
	}
}

const pagePath = "/fetch.html"

// startPageRelay returns the address of the relay.
func startPageRelay(t *testing.T, target string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page := readPage(t)
	acceptEach(t, listener, func(conn net.Conn) { relayPage(conn.(*net.TCPConn), page, target) })
	return listener.Addr().String()
}

func readPage(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("testdata" + pagePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// acceptEach serves the listener's connections until the test ends.
func acceptEach(t *testing.T, listener net.Listener, serve func(net.Conn)) {
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		connections.Wait()
	})
}

func relayPage(browser *net.TCPConn, page, target string) {
	defer browser.Close()
	in := bufio.NewReader(browser)
	const asked = "GET " + pagePath + " "
	begun, err := in.Peek(len(asked))
	if err != nil {
		return // opened for later, and never used
	}
	if string(begun) == asked {
		if _, err := http.ReadRequest(in); err == nil {
			response := http.Response{
				StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Close: true,
				Header: http.Header{"Content-Type": {"text/html"}}, ContentLength: int64(len(page)), Body: io.NopCloser(strings.NewReader(page)),
			}
			response.Write(browser)
		}
		return
	}
	conn, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	passOn(browser, in, server)
}

// halfCloser is a connection of which one direction can end before the other one.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// passOn passes both directions on until they have ended. in is what is read from the
// browser.
func passOn(browser halfCloser, in io.Reader, server halfCloser) {
	var directions sync.WaitGroup
	directions.Go(func() {
		io.Copy(browser, server)
		browser.CloseWrite()
	})
	directions.Go(func() {
		io.Copy(server, in)
		server.CloseWrite()
	})
	directions.Wait()
}
