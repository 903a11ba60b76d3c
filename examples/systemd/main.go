// Command systemd is a small server that systemd restarts without a client noticing,
// by either of two ways. It is a module of its own, because of go-systemd.
//
//	app.socket, app.service   systemd holds the listening socket; the program takes
//	                          it from there
//	app@a, app@b              -reuse-port: the one listens beside the other, and then
//	                          the other one is stopped
//
// The units are in examples/deploy. Without systemd it listens on -addr.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on, where systemd has no socket for the program")
	reusePort := flag.Bool("reuse-port", false, "listen beside the process that this one replaces")
	idleGrace := flag.Duration("idle-grace", 5*time.Second, "close connections without a request for so long, once the listener is closed")
	drainTimeout := flag.Duration("drain-timeout", 25*time.Second, "bound of the whole drain")
	flag.Parse()

	report, err := serve(*addr, *reusePort, stdlib.IdleGrace(*idleGrace), stdlib.DrainTimeout(*drainTimeout))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(report)
}

func serve(addr string, reusePort bool, options ...stdlib.ServeOption) (stdlib.Report, error) {
	ctl, err := core.New()
	if err != nil {
		return stdlib.Report{}, err
	}
	listening, err := listenOptions(reusePort)
	if err != nil {
		return stdlib.Report{}, err
	}
	options = append(options, stdlib.Signals())
	options = append(options, listening...)

	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	mux.Handle("GET /readyz", stdlib.Ready(ctl))
	// Longer than the 60 s of nginx and AWS, so that they close first.
	srv := &http.Server{Addr: addr, Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}
	return stdlib.Serve(context.Background(), srv, ctl, options...)
}

// listenOptions says on what to listen, and tells systemd when the program does
// (Type=notify): "systemctl start" returns then, and not before. Without systemd
// there is nobody to tell.
func listenOptions(reusePort bool) ([]stdlib.ServeOption, error) {
	options := []stdlib.ServeOption{
		stdlib.OnListening(func(a net.Addr) {
			fmt.Println("listening on", a)
			daemon.SdNotify(false, daemon.SdNotifyReady)
		}),
		stdlib.OnDrain(func() { daemon.SdNotify(false, daemon.SdNotifyStopping) }),
	}
	sockets, err := activation.Listeners()
	switch {
	case err != nil:
		return nil, err
	case len(sockets) > 1 || len(sockets) == 1 && sockets[0] == nil:
		return nil, fmt.Errorf("systemd passes %d sockets; this program takes one of TCP", len(sockets))
	case len(sockets) == 1:
		// Others may have the socket: Serve leaves what waits in its queue to them.
		options = append(options, stdlib.On(sockets[0]))
	case reusePort:
		options = append(options, stdlib.ReusePort())
	}
	return options, nil
}
