//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/politeclose/politeclose/internal/freeport"
	"github.com/politeclose/politeclose/internal/restart"
)

const (
	// settle is how long the traffic runs before a restart.
	settle = 100 * time.Millisecond
	// patience bounds every wait for a server.
	patience = 30 * time.Second
)

// measureOne restarts servers that leave in one way under the traffic.
func measureOne(ctx context.Context, w way, s settings, report func(result)) (result, error) {
	r := result{way: w.name}
	address, err := freeport.Address("127.0.0.1")
	if err != nil {
		return r, err
	}
	servers, err := startServers(w, address)
	if err != nil {
		return r, err
	}
	defer servers.end()
	serving, err := servers.wait(listens)
	if err != nil {
		return r, err
	}
	traffic, url := restart.Config{Clients: s.clients, Think: s.think}, "http://"+address+"/"
	keeping, err := restart.Visit(traffic, url)
	if err != nil {
		return r, err
	}
	defer keeping.Stop()
	traffic.ConnectAnew = true
	connecting, err := restart.Visit(traffic, url)
	if err != nil {
		return r, err
	}
	defer connecting.Stop()

	for range s.restarts {
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return r, ctx.Err()
		}
		if serving, err = servers.restart(serving); err != nil {
			return r, err
		}
		r.restarts++
		r.keeping, r.connecting = keeping.Result(), connecting.Result()
		report(r)
	}
	keeping.Stop()
	connecting.Stop()
	r.keeping, r.connecting = keeping.Result(), connecting.Result()
	return r, nil
}

// servers are the processes of one address, each the child of the last one.
type servers struct {
	said  <-chan line
	input io.Closer // they end when it is closed
	first *exec.Cmd
}

type line struct {
	pid   int
	event event
}

func startServers(w way, address string) (*servers, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	first := exec.Command(executable)
	first.Env = append(os.Environ(), wayVariable+"="+w.name, addressVariable+"="+address)
	first.Stderr = os.Stderr
	output, err := first.StdoutPipe()
	if err != nil {
		return nil, err
	}
	input, err := first.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := first.Start(); err != nil {
		return nil, err
	}
	said := make(chan line, 16)
	go func() {
		defer close(said) // the last of them has ended
		for lines := bufio.NewScanner(output); lines.Scan(); {
			var l line
			if _, err := fmt.Sscan(lines.Text(), &l.pid, &l.event); err == nil {
				said <- l
			}
		}
	}()
	return &servers{said, input, first}, nil
}

// restart makes a server start the next one and leave, and returns which that is.
func (s *servers) restart(serving int) (next int, err error) {
	if err := syscall.Kill(serving, syscall.SIGHUP); err != nil {
		return 0, fmt.Errorf("SIGHUP: %w", err)
	}
	if next, err = s.wait(listens); err != nil {
		return 0, err
	}
	_, err = s.wait(left)
	return next, err
}

// wait waits for a server's next line, and returns its process id.
func (s *servers) wait(want event) (pid int, err error) {
	select {
	case l, more := <-s.said:
		switch {
		case !more:
			return 0, errors.New("the server has ended")
		case l.event != want:
			return 0, fmt.Errorf("a server said that it %s, and not that it %s", l.event, want)
		}
		return l.pid, nil
	case <-time.After(patience):
		return 0, fmt.Errorf("no server %s after %v", want, patience)
	}
}

// end ends the servers, all of them.
func (s *servers) end() {
	s.input.Close()
	for range s.said {
	}
	s.first.Wait()
}
