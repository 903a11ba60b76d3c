// Command exampleserver is the server that internal/interop restarts: its flags
// are those that the files of examples/deploy and docs/deploying.md name, so that
// what is documented there is what the tests run. It has a handler for each way to
// route a request.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

func main() {
	settings := parse()
	route, known := routers[settings.router]
	if !known {
		exit(2, fmt.Errorf("-router: %q is not allowed; give net/http, chi, gin or echo", settings.router))
	}
	ctl, err := core.New()
	if err != nil {
		exit(2, err)
	}
	srv := &http.Server{Handler: route(ctl), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(true) // for proxies that speak it
	_, err = stdlib.Serve(context.Background(), srv, ctl, settings.listen()...)
	// What the tests count beside what the clients had answered.
	fmt.Printf("%d requests since the start\n", ctl.Stats().Exchanges)
	if err != nil {
		exit(1, err)
	}
}

func exit(status int, err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(status)
}
