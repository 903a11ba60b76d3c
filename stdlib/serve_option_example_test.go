package stdlib_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// While a load balancer has not noticed yet, new connections are still answered.
func ExampleLameDuck() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Addr: "127.0.0.1:0", Handler: stdlib.Ready(ctl)}
	ctx, drain := context.WithCancel(context.Background())
	enough, end := context.WithCancel(context.Background())
	var address net.Addr
	_, err = stdlib.Serve(ctx, srv, ctl, stdlib.LameDuck(5*time.Second), stdlib.ForceContext(enough),
		stdlib.OnListening(func(a net.Addr) {
			address = a
			drain()
		}),
		stdlib.OnDrain(func() {
			response, err := http.Get("http://" + address.String())
			if err != nil {
				fmt.Println(err)
				return
			}
			response.Body.Close()
			fmt.Println("a new connection is told:", response.Status)
			end() // a program waits for the rest of the five seconds
		}))
	if err != nil && !errors.Is(err, stdlib.ErrForced) {
		fmt.Println(err)
	}
	_, err = net.Dial("tcp", address.String())
	fmt.Println("afterwards nobody listens:", errors.Is(err, syscall.ECONNREFUSED))
	// Output:
	// a new connection is told: 503 Service Unavailable
	// afterwards nobody listens: true
}

func ExampleSignals() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Addr: "127.0.0.1:0", Handler: http.NotFoundHandler()}
	_, err = stdlib.Serve(context.Background(), srv, ctl,
		stdlib.Signals(os.Interrupt, syscall.SIGTERM), // or none, which means these two
		stdlib.OnListening(func(net.Addr) {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Signal(syscall.SIGTERM) // as an orchestrator does
			}
			if err != nil {
				fmt.Println(err)
			}
		}))
	fmt.Println("drained:", ctl.Draining(), "error:", err)
	// Output: drained: true error: <nil>
}

func ExampleTLS() {
	lender := httptest.NewTLSServer(nil) // has a certificate, and a client that trusts it
	defer lender.Close()
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Addr: "127.0.0.1:0", TLSConfig: lender.TLS.Clone(), Handler: http.NotFoundHandler()}
	ctx, drain := context.WithCancel(context.Background())
	_, err = stdlib.Serve(ctx, srv, ctl,
		stdlib.TLS("", ""), // the names of two files, where TLSConfig has no certificate
		stdlib.OnListening(func(a net.Addr) {
			defer drain()
			response, err := lender.Client().Get("https://" + a.String())
			if err != nil {
				fmt.Println(err)
				return
			}
			response.Body.Close()
			lender.Client().CloseIdleConnections()
			fmt.Println(response.Status)
		}))
	fmt.Println("error:", err)
	// Output:
	// 404 Not Found
	// error: <nil>
}

// For a program that calls http.Server.Serve on its own. The listener's
// connections then end without destroying the last response.
func ExampleListener() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Handler: http.NotFoundHandler()}
	if err := stdlib.Track(srv, ctl); err != nil {
		fmt.Println(err)
		return
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(stdlib.Listener(plain, ctl)) }()

	response, err := http.Get("http://" + plain.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	io.Copy(io.Discard, response.Body) // without which the client would close the connection
	response.Body.Close()
	fmt.Println("connections:", ctl.Stats().Open)
	http.DefaultClient.CloseIdleConnections()
	_, err = stdlib.Shutdown(context.Background(), srv, ctl)
	fmt.Println("error:", err, "and", <-served)
	// Output:
	// connections: 1
	// error: <nil> and http: Server closed
}
