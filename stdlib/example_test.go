package stdlib_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// A server that drains when its context is done. A program leaves On away, sets
// http.Server.Addr and adds Signals.
func ExampleServe() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{
		Handler: stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "hello")
		})),
	}
	ctx, drain := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		report, err := stdlib.Serve(ctx, srv, ctl, stdlib.On(listener), stdlib.DrainTimeout(10*time.Second))
		fmt.Println("announced:", report.Announced, "cut:", report.Forced, "error:", err)
	}()

	get := func() {
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		fmt.Printf("%s, last: %v\n", body, response.Close)
	}
	get()
	ctl.Drain() // so that the next request comes when the drain has begun
	get()       // over the same connection
	drain()
	<-done
	// Output:
	// hello, last: false
	// hello, last: true
	// announced: 1 cut: 0 error: <nil>
}

func ExampleMiddleware() {
	ctl, err := core.New(core.OnStatus(http.StatusRequestEntityTooLarge))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 1<<20)); err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		}
	})
	handler := stdlib.Middleware(ctl)(mux) // outermost

	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest("POST", "/upload", io.LimitReader(zeros{}, 2<<20)))
	fmt.Println(w.Code, w.Header().Get("Connection"))
	// Output: 413 close
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func ExampleSensitive() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	login := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "welcome") })
	mux := http.NewServeMux()
	mux.Handle("POST /login", stdlib.Sensitive(ctl)(login))

	w := httptest.NewRecorder()
	stdlib.Middleware(ctl)(mux).ServeHTTP(w, httptest.NewRequest("POST", "/login", nil))
	fmt.Println(w.Header().Get("Connection"), ctl.Stats().Closes[core.ReasonRoute])
	// Output: close 1
}

// For a program that calls http.Server.Serve on its own.
func ExampleTrack() {
	ctl, err := core.New(core.OnRequestCount(2))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := &http.Server{Handler: stdlib.Middleware(ctl)(http.NotFoundHandler())}
	if err := stdlib.Track(srv, ctl); err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go srv.Serve(stdlib.Listener(listener, ctl))
	defer srv.Close()

	for range 3 {
		response, err := http.Get("http://" + listener.Addr().String())
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println("last:", response.Close)
	}
	// Output:
	// last: false
	// last: true
	// last: false
}

func ExampleReady() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	ready := func() int {
		w := httptest.NewRecorder()
		stdlib.Ready(ctl).ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
		return w.Code
	}
	fmt.Println(ready())
	ctl.Drain()
	fmt.Println(ready())
	// Output:
	// 200
	// 503
}

func ExampleReport_String() {
	fmt.Println(stdlib.Report{Duration: 14 * time.Millisecond, Announced: 64, Served: 71})
	// Output: drained in 14ms: 64 connections announced, 71 requests served
}
