package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
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
	// shutdownLoses says that plain Shutdown is certain to lose requests here.
	shutdownLoses bool
	// drain are the replicas' flags.
	drain func(*testing.T) []string
	start func(t *testing.T, front, one, two string)
}

var proxies = []proxy{
	{"nginx", false, true, serviceFlags, startNginx},
	{"HAProxy", true, true, lameDuckFlags, startHAProxy},
	{"Apache httpd", false, false, serviceFlags, startHTTPD},
}

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
	program := find(t, "haproxy", "/usr/sbin/haproxy")
	config := fill(t, "haproxy.cfg",
		"127.0.0.1:8080", front, "127.0.0.1:8081", one, "127.0.0.1:8082", two,
		"inter 1s", "inter 100ms",
		"retries 3", "retries 0",
	)
	startProxy(t, front, exec.Command(program, "-db", "-f", config))
}

func startHTTPD(t *testing.T, front, one, two string) {
	program := find(t, "apache2", "/usr/sbin/apache2")
	folder := t.TempDir()
	config := fill(t, "httpd.conf",
		"127.0.0.1:8080", front, "127.0.0.1:8081", one, "127.0.0.1:8082", two,
		"/run/apache2", folder,
		"/var/log/apache2/error.log", "/dev/stderr",
	)
	command := exec.Command(program, "-d", folder, "-f", config, "-DFOREGROUND")
	// glibc loads this one when a thread ends. httpd's children, who are www-data
	// where it was started by root, abort if they cannot read it, as on a machine
	// whose root folder is closed to others.
	command.Env = append(os.Environ(), "LD_PRELOAD=libgcc_s.so.1")
	startProxy(t, front, command)
}

// startProxy returns once the proxy accepts connections.
func startProxy(t *testing.T, front string, command *exec.Cmd) {
	t.Helper()
	p := startProcess(t, command, nil)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", front)
		if err == nil {
			conn.Close()
			return
		}
		if p.hasEnded() || time.Now().After(end) {
			t.Fatalf("%v does not listen: %v\n%s", command.Args, err, p.said.tail())
		}
	}
}
