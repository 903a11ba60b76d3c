package interop

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Proxies for which examples/deploy has no file: as little of a configuration as
// they take, with their own defaults for connections to the replicas, and for what
// they send again.

func startCaddy(scheme string) func(t *testing.T, front, one, two string) {
	return func(t *testing.T, front, one, two string) {
		program := find(t, "caddy")
		folder := t.TempDir()
		config := write(t, folder, "Caddyfile", `{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
http://`+front+` {
	bind 127.0.0.1
	reverse_proxy `+scheme+one+` `+scheme+two+`
}
`)
		command := exec.Command(program, "run", "--config", config, "--adapter", "caddyfile")
		command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
		startProxy(t, front, command)
	}
}

func startVarnish(t *testing.T, front, one, two string) {
	program := find(t, "varnishd", "/usr/sbin/varnishd")
	folder := t.TempDir()
	backend := func(name, address string) string {
		host, port := split(t, address)
		return "backend " + name + ` { .host = "` + host + `"; .port = "` + port + "\"; }\n"
	}
	config := write(t, folder, "politeclose.vcl", `vcl 4.1;
import directors;
`+backend("one", one)+backend("two", two)+`
sub vcl_init {
	new both = directors.round_robin();
	both.add_backend(one);
	both.add_backend(two);
}
sub vcl_recv {
	set req.backend_hint = both.backend();
	return (pass);
}
`)
	startProxy(t, front, exec.Command(program, "-F", "-j", "none", "-n", folder, "-a", front, "-f", config, "-s", "malloc,16m"))
}

func startSquid(t *testing.T, front, one, two string) {
	program := find(t, "squid", "/usr/sbin/squid")
	folder := t.TempDir()
	peer := func(name, address string) string {
		host, port := split(t, address)
		return "cache_peer " + host + " parent " + port + " 0 no-query no-digest no-netdb-exchange originserver round-robin name=" + name + "\n"
	}
	config := write(t, folder, "squid.conf", `http_port `+front+` accel defaultsite=replicas
`+peer("one", one)+peer("two", two)+`never_direct allow all
http_access allow all
cache deny all
access_log none
cache_log /dev/null
pid_filename none
netdb_filename none
pinger_enable off
coredump_dir `+folder+`
shutdown_lifetime 0 seconds
`)
	startProxy(t, front, exec.Command(program, "-N", "-f", config))
}

func startLighttpd(t *testing.T, front, one, two string) {
	program := find(t, "lighttpd", "/usr/sbin/lighttpd")
	folder := t.TempDir()
	host, port := split(t, front)
	backend := func(address string) string {
		host, port := split(t, address)
		return `( "host" => "` + host + `", "port" => ` + port + ` )`
	}
	config := write(t, folder, "lighttpd.conf", `server.modules = ( "mod_proxy" )
server.document-root = "`+folder+`"
server.bind = "`+host+`"
server.port = `+port+`
server.errorlog = "/dev/null"
proxy.balance = "round-robin"
proxy.server = ( "" => ( `+backend(one)+`, `+backend(two)+` ) )
`)
	startProxy(t, front, exec.Command(program, "-D", "-f", config))
}

// startTrafficServer has it in front of the first replica alone: its choice between
// several wants names that resolve.
func startTrafficServer(t *testing.T, front, one, _ string) {
	program := find(t, "traffic_server")
	folder := t.TempDir()
	folders := "bindir: /usr/bin\nsbindir: /usr/sbin\nincludedir: /usr/include\n" +
		"libdir: /usr/lib/trafficserver\nlibexecdir: /usr/lib/trafficserver/modules\n"
	for _, name := range []string{"prefix", "exec_prefix", "sysconfdir", "datadir", "localstatedir", "runtimedir", "logdir", "cachedir"} {
		folders += name + ": " + folder + "\n"
	}
	root := write(t, folder, "runroot.yaml", folders)
	_, port := split(t, front)
	write(t, folder, "records.config", "CONFIG proxy.config.http.server_ports STRING "+port+":ip-in=127.0.0.1\n"+
		"CONFIG proxy.config.admin.user_id STRING #-1\n"+ // stays who it is
		"CONFIG proxy.config.http.cache.http INT 0\n")
	write(t, folder, "storage.config", folder+" 16M\n")
	write(t, folder, "remap.config", "map / http://"+one+"/\n")
	write(t, folder, "ip_allow.yaml", "ip_allow:\n  - apply: in\n    ip_addrs: 0/0\n    action: allow\n    methods: ALL\n")
	startProxy(t, front, exec.Command(program, "--run-root="+root))
}

// startReverseProxy is net/http/httputil's, with a transport as a program would
// configure it.
func startReverseProxy(http2 bool) func(t *testing.T, front, one, two string) {
	return func(t *testing.T, front, one, two string) {
		listener, err := net.Listen("tcp", front)
		if err != nil {
			t.Fatal(err)
		}
		transport := &http.Transport{MaxIdleConnsPerHost: 32, Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(!http2)
		transport.Protocols.SetUnencryptedHTTP2(http2)
		var turn atomic.Uint64
		silent := log.New(io.Discard, "", 0)
		srv := &http.Server{ErrorLog: silent, Handler: &httputil.ReverseProxy{
			Transport: transport,
			ErrorLog:  silent,
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: []string{one, two}[turn.Add(1)%2]})
			},
		}}
		served := make(chan struct{})
		go func() {
			defer close(served)
			srv.Serve(listener)
		}()
		t.Cleanup(func() {
			srv.Close()
			<-served
			transport.CloseIdleConnections()
		})
	}
}

func split(t *testing.T, address string) (host, port string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

func write(t *testing.T, folder, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(strings.TrimLeft(text, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
