//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
)

// A server is this program again, with these variables in its environment.
const (
	wayVariable     = "RESTART_WAY"
	addressVariable = "RESTART_ADDRESS"
)

func isServer() bool { return os.Getenv(wayVariable) != "" }

// server is the main function of a server. It prints when it listens and when it
// has left.
func server() (status int) {
	known := ways()
	i := slices.IndexFunc(known, func(w way) bool { return w.name == os.Getenv(wayVariable) })
	if i < 0 {
		fmt.Fprintf(os.Stderr, "restart: %s is %q\n", wayVariable, os.Getenv(wayVariable))
		return 2
	}
	slog.SetLogLoggerLevel(slog.LevelWarn) // how each drain went is not the subject
	go endWithDemonstration()
	srv := &http.Server{Addr: os.Getenv(addressVariable), Handler: http.HandlerFunc(answer)}
	err := replaceable(func(ctx context.Context, listening func()) error {
		return known[i].serve(ctx, srv, func() {
			say(listens)
			listening()
		})
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "restart:", err)
		return 1
	}
	say(left)
	return 0
}

// endWithDemonstration keeps servers from outliving a demonstration that was
// killed: it holds the other end of their standard input.
func endWithDemonstration() {
	io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}

// event is what a server prints behind its process id.
type event string

const (
	listens event = "listens"
	left    event = "left"
)

func say(e event) { fmt.Println(os.Getpid(), e) }
