package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// A proxy in front of two replicas. Its retries are off.
type proxy struct {
	name string
	// healthChecks says that it watches readiness, so that a replica may close its
	// port. Where it does not, a port that refuses is an error that no server can
	// prevent: there the processes of a replica share a listening socket, as with
	// app.socket.
	healthChecks bool
	// http2 says that it speaks HTTP/2 with the replicas. None of these proxies keeps
	// to RFC 9113 §6.8 for all of its requests: what they had not sent when GOAWAY
	// came fails.
	http2 bool
	// first says that it uses the first replica alone.
	first bool
	// keepsNone says that it opens a connection to a replica for each POST.
	keepsNone bool
	// cutsLargeAnswers says that it answers POSTs with a part of a large answer now and
	// then, and calls that whole: also where net/http alone ends no connection.
	cutsLargeAnswers bool
	// shutdownLoses says that plain Shutdown is certain to lose requests here.
	shutdownLoses bool
	// drain are the replicas' flags.
	drain func(*testing.T) []string
	start func(t *testing.T, front, one, two string)
}

// proxies has those that most programs are behind, and all of them at full size;
// under the race detector few, as of the clients.
func proxies() []proxy {
	if os.Getenv("POLITECLOSE_FULL") == "" || underRaceDetector {
		return commonProxies()
	}
	return slices.Concat(commonProxies(), moreProxies)
}

func commonProxies() []proxy {
	if underRaceDetector {
		return fewProxies
	}
	return slices.Concat(fewProxies, alsoCommonProxies)
}

var (
	fewProxies = []proxy{
		{name: "nginx", shutdownLoses: true, drain: serviceFlags, start: startNginx},
		{name: "HAProxy", healthChecks: true, shutdownLoses: true, drain: lameDuckFlags, start: startHAProxy},
		{name: "Apache httpd", drain: serviceFlags, start: startHTTPD},
	}
	alsoCommonProxies = []proxy{
		{name: "Caddy", cutsLargeAnswers: true, drain: serviceFlags, start: startCaddy("")},
		{name: "Varnish", drain: serviceFlags, start: startVarnish},
		{name: "ReverseProxy", drain: serviceFlags, start: startReverseProxy(false)},
	}
	moreProxies = []proxy{
		{name: "ReverseProxy over HTTP/2", http2: true, drain: serviceFlags, start: startReverseProxy(true)},
		{name: "Caddy over HTTP/2", http2: true, drain: serviceFlags, start: startCaddy("h2c://")},
		{name: "HAProxy over HTTP/2", healthChecks: true, http2: true, drain: lameDuckFlags, start: startHAProxyHTTP2},
		{name: "Apache httpd over HTTP/2", http2: true, drain: serviceFlags, start: startHTTPDHTTP2},
		{name: "Squid", keepsNone: true, drain: serviceFlags, start: startSquid},
		{name: "Traffic Server", first: true, drain: serviceFlags, start: startTrafficServer},
		{name: "lighttpd", keepsNone: true, drain: serviceFlags, start: startLighttpd},
	}
)

// lameDuckFlags go with the shorter interval of the health checks.
func lameDuckFlags(*testing.T) []string {
	return []string{"-lame-duck", "1500ms", "-idle-grace", "500ms"}
}

// serviceFlags are those of app.service.
func serviceFlags(t *testing.T) []string {
	t.Helper()
	const start = "ExecStart=/usr/local/bin/app "
	for line := range strings.Lines(read(t, "app.service")) {
		if flags, ok := strings.CutPrefix(line, start); ok {
			return strings.Fields(flags)
		}
	}
	t.Fatalf("app.service has no line %q", start)
	return nil
}

func startNginx(t *testing.T, front, one, two string) {
	program := find(t, "nginx", "/usr/sbin/nginx")
	folder := t.TempDir()
	temporary := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("\n    %s_temp_path %s/%s;", kind, folder, kind)
	}
	config := fill(t, "nginx.conf",
		"127.0.0.1:8080", front, "127.0.0.1:8081", one, "127.0.0.1:8082", two,
		"/run/nginx.pid", folder+"/nginx.pid",
		"/var/log/nginx/error.log", "stderr",
		"http {", "http {"+temporary,
		"proxy_next_upstream error timeout", "proxy_next_upstream off",
	)
	directives := "daemon off;"
	if os.Geteuid() == 0 {
		directives += " user root;"
	}
	startProxy(t, front, exec.Command(program, "-p", folder, "-e", "stderr", "-c", config, "-g", directives))
}

func startHAProxy(t *testing.T, front, one, two string) {
	runHAProxy(t, front, "127.0.0.1:8080", front, "127.0.0.1:8081", one, "127.0.0.1:8082", two)
}

func startHAProxyHTTP2(t *testing.T, front, one, two string) {
	runHAProxy(t, front, "127.0.0.1:8080", front, "127.0.0.1:8081", one+" proto h2", "127.0.0.1:8082", two+" proto h2")
}

func runHAProxy(t *testing.T, front string, replacements ...string) {
	program := find(t, "haproxy", "/usr/sbin/haproxy")
	config := fill(t, "haproxy.cfg", append(replacements,
		"inter 1s", "inter 100ms",
		"retries 3", "retries 0",
	)...)
	startProxy(t, front, exec.Command(program, "-db", "-f", config))
}

func startHTTPD(t *testing.T, front, one, two string) {
	runHTTPD(t, front, "127.0.0.1:8080", front, "127.0.0.1:8081", one, "127.0.0.1:8082", two)
}

func startHTTPDHTTP2(t *testing.T, front, one, two string) {
	runHTTPD(t, front, "127.0.0.1:8080", front, "http://127.0.0.1:8081", "h2c://"+one, "http://127.0.0.1:8082", "h2c://"+two,
		"LoadModule proxy_http_module          /usr/lib/apache2/modules/mod_proxy_http.so",
		"LoadModule proxy_http2_module         /usr/lib/apache2/modules/mod_proxy_http2.so")
}

func runHTTPD(t *testing.T, front string, replacements ...string) {
	program := find(t, "apache2", "/usr/sbin/apache2")
	folder := t.TempDir()
	config := fill(t, "httpd.conf", append(replacements,
		"/run/apache2", folder,
		"/var/log/apache2/error.log", "/dev/stderr",
	)...)
	command := exec.Command(program, "-d", folder, "-f", config, "-DFOREGROUND")
	// glibc loads this one when a thread ends. httpd's children, who are www-data
	// where it was started by root, abort if they cannot read it, as on a machine
	// whose root folder is closed to others.
	command.Env = append(os.Environ(), "LD_PRELOAD=libgcc_s.so.1")
	startProxy(t, front, command)
}

// startProxy returns once the proxy accepts connections.
func startProxy(t *testing.T, front string, command *exec.Cmd) *process {
	t.Helper()
	p := startProcess(t, command, nil)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", front)
		if err == nil {
			conn.Close()
			return p
		}
		if p.hasEnded() || time.Now().After(end) {
			t.Fatalf("%v does not listen: %v\n%s", command.Args, err, p.said.tail())
		}
	}
}
