package stdlib_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

func servePublic(ctx context.Context, ctl *core.Controller, public, admin *http.Server) error {
	listener, err := net.Listen("tcp", admin.Addr)
	if err != nil {
		return err
	}
	go admin.Serve(listener)
	defer admin.Close()
	_, err = stdlib.Serve(ctx, public, ctl, stdlib.Signals())
	return err
}

// A public server that drains, and an admin server that ends behind it.
func ExampleServe_adminPort() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(servePublic(ctx, ctl, &http.Server{Addr: "127.0.0.1:0"}, &http.Server{Addr: "127.0.0.1:0"}))
	// Output: <nil>
}

func serveAll(ctx context.Context, ctl *core.Controller, servers ...*http.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(servers))
	var all sync.WaitGroup
	for i, srv := range servers {
		all.Go(func() {
			_, errs[i] = stdlib.Serve(ctx, srv, ctl, stdlib.Signals())
			cancel()
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Servers that drain together.
func ExampleServe_severalServers() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(serveAll(ctx, ctl, &http.Server{Addr: "127.0.0.1:0"}, &http.Server{Addr: "127.0.0.1:0"}))
	// Output: <nil>
}

func listenAndServe(ctx context.Context, srv *http.Server, ctl *core.Controller) error {
	if err := stdlib.Track(srv, ctl); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- srv.ListenAndServe() }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
		stop() // a second signal kills the program, as it would without NotifyContext
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 25*time.Second)
	defer cancel()
	_, err := stdlib.Shutdown(limited, srv, ctl)
	return err
}

// A program that calls ListenAndServe itself.
func ExampleShutdown() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(listenAndServe(ctx, &http.Server{Addr: "127.0.0.1:0"}, ctl))
	// Output: <nil>
}

// A test of the whole: a free port, and a context in the place of a signal.
func ExampleOnListening() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Addr: "127.0.0.1:0", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	ctx, drain := context.WithCancel(context.Background())
	defer drain()
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		_, err := stdlib.Serve(ctx, srv, ctl, stdlib.OnListening(func(a net.Addr) { listening <- a }))
		ended <- err
	}()
	var url string
	select {
	case address := <-listening:
		url = "http://" + address.String()
	case err := <-ended:
		fmt.Println(err)
		return
	}

	response, _ := http.Get(url)
	fmt.Println("the connection ends:", response.Close)
	drain()
	<-ctl.DrainStarted()
	response, _ = http.Get(url) // over the same connection
	fmt.Println("the connection ends:", response.Close)
	fmt.Println("error:", <-ended)
	// Output:
	// the connection ends: false
	// the connection ends: true
	// error: <nil>
}
