package faults

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/childtest"
	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

// The children of this file, by when their SIGTERM comes.
const (
	beforeServe   = "before Serve"
	asItBegins    = "as Serve begins"
	asItIsReached = "as soon as it can be reached"
)

func runSignalled(kind string) (status int) {
	ctl, err := core.New()
	if err != nil {
		return failed(err)
	}
	srv := &http.Server{Addr: os.Getenv(addressEnv), Handler: stdlib.Middleware(ctl)(servertest.Hello)}
	switch kind {
	case beforeServe:
		fmt.Println("starting")
		select {}
	case asItBegins:
		// net/http calls it first of all.
		srv.BaseContext = func(net.Listener) context.Context {
			if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
				fmt.Println(err)
			}
			for !ctl.Draining() {
				runtime.Gosched()
			}
			return context.Background()
		}
	}
	report, err := stdlib.Serve(context.Background(), srv, ctl, stdlib.Signals())
	if err != nil {
		return failed(err)
	}
	fmt.Printf("announced %d, closed idle %d, forced %d\n", report.Announced, report.ClosedIdle, report.Forced)
	return 0
}

// Nobody has connected then, and the program has said nothing of signals.
func TestASignalBeforeServeEndsTheProcessAsEver(t *testing.T) {
	leavesNothing(t)
	child := childtest.Start(t, beforeServe)
	child.ExpectLine("starting")
	child.Signal(syscall.SIGTERM)
	child.ExpectKilled(syscall.SIGTERM)
}

func TestASignalAsServeBeginsDrainsAnEmptyServer(t *testing.T) {
	leavesNothing(t)
	child := childtest.Start(t, asItBegins, addressEnv+"=127.0.0.1:0")
	child.ExpectLine("announced 0, closed idle 0, forced 0")
	child.ExpectStatus(0)
}

// From the moment at which somebody can connect, a signal drains and does not kill.
func TestASignalAsSoonAsTheServerCanBeReachedDrains(t *testing.T) {
	tries := 5
	if full {
		tries = 200
	}
	leavesNothing(t)
	for range tries {
		address := servertest.FreeAddress(t)
		child := childtest.Start(t, asItIsReached, addressEnv+"="+address)
		var client net.Conn
		clienttest.Eventually(t, "somebody can connect", func() (connected bool) {
			var err error
			client, err = net.Dial("tcp", address)
			return err == nil
		})
		child.Signal(syscall.SIGTERM)
		client.Close()
		child.ExpectLine("announced 0, closed idle 0, forced 0")
		child.ExpectStatus(0)
	}
}
