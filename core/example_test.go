package core_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// ends sends a request through a handler with ctl's rules and tells what its
// response announces.
func ends(ctl *core.Controller, r *http.Request) string {
	w := httptest.NewRecorder()
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	stdlib.Middleware(ctl)(hello).ServeHTTP(w, r)
	if w.Header().Get("Connection") == "close" {
		return "ends"
	}
	return "stays open"
}

// isLast reports whether the response to a request over the client's connection
// says that it is the last one.
func isLast(srv *httptest.Server, path string) bool {
	response, err := srv.Client().Get(srv.URL + path)
	if err != nil {
		fmt.Println(err)
		return true
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.Close
}

// overOne sends requests one after the other over a connection.
func overOne(srv *httptest.Server, paths ...string) {
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, path := range paths {
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path)
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(io.Discard, response.Body)
	}
}

// serve starts a server that knows its connections.
func serve(ctl *core.Controller, handler http.Handler) *httptest.Server {
	srv := httptest.NewUnstartedServer(handler)
	if err := stdlib.Track(srv.Config, ctl); err != nil {
		fmt.Println(err)
	}
	srv.Start()
	return srv
}

func get(path string) *http.Request { return httptest.NewRequest(http.MethodGet, path, nil) }

func ExampleNew() {
	ctl, err := core.New(core.OnRoutes("/admin/", "POST /login"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("/:", ends(ctl, get("/")))
	fmt.Println("/admin/users:", ends(ctl, get("/admin/users")))

	_, err = core.New(core.OnAge(-time.Second))
	fmt.Println(err)
	// Output:
	// /: stays open
	// /admin/users: ends
	// politeclose: OnAge: -1s is not allowed; the age must be greater than 0
}

// Clients of an old version go when they have had their answer.
func ExampleOnMatch() {
	ctl, err := core.New(core.OnMatch("legacy", func(r *http.Request) bool {
		return strings.HasPrefix(r.UserAgent(), "app/1.")
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, agent := range []string{"app/1.9", "app/2.0"} {
		r := get("/")
		r.Header.Set("User-Agent", agent)
		fmt.Println(agent, ends(ctl, r))
	}
	fmt.Println("for legacy:", ctl.Stats().Closes["legacy"])
	// Output:
	// app/1.9 ends
	// app/2.0 stays open
	// for legacy: 1
}

// Connections live for ten minutes, ±10 % each, and balancers get to spread them
// anew. That needs a server which knows its connections: stdlib.Serve.
func ExampleOnAge() {
	ctl, err := core.New(core.OnAge(100 * time.Millisecond)) // a program has 10 * time.Minute
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := serve(ctl, http.NotFoundHandler())
	defer srv.Close()
	for !isLast(srv, "/") {
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Println("for age:", ctl.Stats().Closes[core.ReasonAge])
	// Output: for age: 1
}

// Health checks keep their connection, whatever its age.
func ExampleExempt() {
	ctl, err := core.New(core.OnRequestCount(1), core.Exempt("/readyz"))
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /readyz", stdlib.Ready(ctl))
	srv := serve(ctl, mux)
	defer srv.Close()
	for _, path := range []string{"/readyz", "/"} {
		fmt.Println(path, "is the last:", isLast(srv, path))
	}
	// Output:
	// /readyz is the last: false
	// / is the last: true
}

// An operator takes a replica out of service by a flag. A program may look for a
// file, or ask a feature flag.
func ExampleDrainWhen() {
	ctl, err := core.New(core.DrainWhen(func() bool { return true }))
	if err != nil {
		fmt.Println(err)
		return
	}
	<-ctl.DrainStarted()
	fmt.Println(ends(ctl, get("/")), ctl.Draining())
	// Output: ends true
}

// A drain tells one connection after the other for ten seconds, so that their
// handshakes do not reach the other replicas all at once. The drain's timeout, 25 s
// where stdlib.DrainTimeout does not say otherwise, has to leave room for it.
func ExampleDrainSpread() {
	ctl, err := core.New(core.DrainSpread(10 * time.Second))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ctl.DrainSpread())
	// Output: 10s
}

// One close per minute for age, count, load and excess, two at once.
func ExampleBudget() {
	ctl, err := core.New(core.OnRequestCount(1), core.Budget(1.0/60, 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := serve(ctl, http.NotFoundHandler())
	defer srv.Close()
	for range 3 {
		isLast(srv, "/")
	}
	stats := ctl.Stats()
	fmt.Println("closed:", stats.Closes[core.ReasonRequests], "held back:", stats.HeldBack)
	// Output: closed: 2 held back: 1
}

func ExampleController_Stats() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/connections", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(ctl.Stats())
	})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, get("/debug/connections"))
	var stats struct{ Draining bool }
	fmt.Println(json.Unmarshal(w.Body.Bytes(), &stats), stats.Draining)
	// Output: <nil> false
}

// A handler that cannot go on with this client.
func ExampleCloseAfter() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		core.CloseAfter(r.Context(), core.ReasonHandler)
		http.Error(w, "who are you?", http.StatusUnauthorized)
	}))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, get("/"))
	fmt.Println(w.Code, w.Header().Get("Connection"))
	// Output: 401 close
}

// A stream ends when its connection has to go.
func ExampleLeaving() {
	ctl, err := core.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := stdlib.Middleware(ctl)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
		go ctl.Drain() // a program ends with a signal
		select {
		case <-core.Leaving(r.Context()):
			fmt.Fprintln(w, "come again:", core.LeavingReason(r.Context()))
		case <-r.Context().Done():
		}
	}))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, get("/events"))
	fmt.Print(w.Body)
	// Output:
	// hello
	// come again: drain
}

// An access log says which responses ended their connection, and why.
func ExampleAnnounced() {
	ctl, err := core.New(core.OnRoutes("/login"))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := serve(ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello") // by the rest of the program
		reason, closes := core.Announced(r.Context())
		fmt.Printf("path=%s connection=%d closes=%t reason=%q\n", r.URL.Path, core.ConnectionID(r.Context()), closes, reason)
	}))
	defer srv.Close()
	overOne(srv, "/", "/login")
	overOne(srv, "/")
	// Output:
	// path=/ connection=1 closes=false reason=""
	// path=/login connection=1 closes=true reason="route"
	// path=/ connection=2 closes=false reason=""
}

// What is left of a body that was too large is not worth reading.
func ExampleOnStatus() {
	ctl, err := core.New(core.OnStatus(http.StatusRequestEntityTooLarge))
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := serve(ctl, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}))
	defer srv.Close()
	fmt.Println("/:", isLast(srv, "/"), "/large:", isLast(srv, "/large"))
	// Output: /: false /large: true
}
