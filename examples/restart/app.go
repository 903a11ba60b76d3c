//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/stdlib"
)

// predecessor names the process that waits for this one.
const predecessor = "PREDECESSOR"

// replaceable serves until SIGTERM, or until SIGHUP and then the program's next
// version listens. Nothing but a signal passes between the two: no listening socket,
// no supervisor. The serve function has to call listening.
func replaceable(serve func(ctx context.Context, listening func()) error) error {
	ctx, leave := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer leave()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if err := startNext(); err != nil {
				// The program on disk does not work. This one does.
				fmt.Fprintln(os.Stderr, err)
				continue
			}
			leave()
			return
		}
	}()
	return serve(ctx, tellPredecessor)
}

// reusePort serves beside the process that this one replaces, and beside the one that
// replaces it. Who calls it from replaceable needs nothing else.
func reusePort(ctx context.Context, srv *http.Server, listening func()) error {
	ctl, err := core.New()
	if err != nil {
		return err
	}
	_, err = stdlib.Serve(ctx, srv, ctl, stdlib.ReusePort(), stdlib.OnListening(func(net.Addr) { listening() }))
	return err
}

// startNext starts the program again and returns when the new process listens.
func startNext() error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	listens := make(chan os.Signal, 1)
	signal.Notify(listens, syscall.SIGUSR1)
	defer signal.Stop(listens)

	next := exec.Command(executable, os.Args[1:]...)
	next.Env = append(os.Environ(), fmt.Sprintf("%s=%d", predecessor, os.Getpid()))
	next.Stdin, next.Stdout, next.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := next.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- next.Wait() }()
	select {
	case <-listens:
		return nil
	case err := <-ended:
		return fmt.Errorf("the next version ended before it listened: %w", err)
	case <-time.After(10 * time.Second):
		return errors.Join(errors.New("the next version does not listen after 10 s"), next.Process.Kill())
	}
}

// tellPredecessor tells the process that started this one, and nobody else, that it
// may leave.
func tellPredecessor() {
	if pid, err := strconv.Atoi(os.Getenv(predecessor)); err == nil && pid == os.Getppid() {
		syscall.Kill(pid, syscall.SIGUSR1)
	}
}
