//go:build full

package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/restart"
)

const (
	restarts = 10
	messages = 10 // of each stream
	callers  = 8
	talkers  = 8
)

// Unary calls and streams share a connection.
func TestRestartsFailNoCallAndNoStream(t *testing.T) {
	for _, framework := range frameworks {
		t.Run(framework.name, func(t *testing.T) {
			t.Run("politeclose", func(t *testing.T) {
				calls, streams := restartUnder(t, framework, restart.Politeclose(restart.NetHTTP))
				if calls.failed > 0 || calls.repeated > 0 {
					t.Errorf("unary calls: %v", calls)
				}
				if streams.failed > 0 && !framework.mayFail || streams.failedExecuted > 0 || streams.repeated > 0 {
					t.Errorf("streams: %v", streams)
				}
			})
			// For the log: what GOAWAY refuses is sent again, so that it need not lose any.
			t.Run("Shutdown", func(t *testing.T) { restartUnder(t, framework, restart.Shutdown()) })
		})
	}
}

// generation is one process's worth of a server, on a socket that the next one
// shares.
type generation struct {
	leave context.CancelFunc
	ended chan error
}

func start(t *testing.T, socket *net.TCPListener, method restart.Method, handler http.Handler) *generation {
	t.Helper()
	file, err := socket.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{
		Handler: handler, ErrorLog: log.New(io.Discard, "", 0), Protocols: new(http.Protocols),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}, NextProtos: []string{"h2"}},
	}
	srv.Protocols.SetHTTP2(true)
	ctx, leave := context.WithCancel(context.Background())
	g := &generation{leave: leave, ended: make(chan error, 1)}
	go func() { g.ended <- method.Serve(ctx, srv, listener) }()
	t.Cleanup(leave)
	return g
}

func (g *generation) stop(t *testing.T) {
	t.Helper()
	g.leave()
	if err := clienttest.Receive(t, "the end of the server", g.ended); err != nil {
		t.Error(err)
	}
}

func restartUnder(t *testing.T, framework framework, method restart.Method) (ofCalls, ofStreams result) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	calls, streams := newBook(), newBook()
	both := http.NewServeMux()
	both.Handle(say, framework.handler(calls))
	both.Handle(talk, framework.handler(streams))
	c := framework.dial(t, socket.Addr().String())
	now := start(t, socket.(*net.TCPListener), method, both)
	stop := make(chan struct{})
	var workers sync.WaitGroup
	work := func(b *book, n int, exchange func(ctx context.Context, name string) error) {
		for worker := range n {
			workers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
					}
					name := fmt.Sprintf("%d-%d", worker, n)
					ctx, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
					b.hear(name, exchange(ctx, name))
					cancel()
				}
			})
		}
	}
	work(calls, callers, c.call)
	work(streams, talkers, c.stream)
	more := func() {
		enoughCalls, enoughStreams := calls.calls()+100, streams.calls()+20
		clienttest.Eventually(t, "more answers", func() bool { return calls.calls() >= enoughCalls && streams.calls() >= enoughStreams })
	}
	more()
	for range restarts {
		next := start(t, socket.(*net.TCPListener), method, both)
		now.stop(t)
		now = next
		more()
	}
	close(stop)
	workers.Wait()
	now.stop(t)
	ofCalls, ofStreams = calls.result(), streams.result()
	t.Logf("%d restarts: unary calls: %v; streams: %v", restarts, ofCalls, ofStreams)
	for _, r := range []result{ofCalls, ofStreams} {
		if r.executed != r.calls-r.failed+r.failedExecuted+r.repeated {
			t.Errorf("the two sides contradict each other: %v", r)
		}
	}
	return ofCalls, ofStreams
}

// call makes a unary call.
func (c client) call(ctx context.Context, name string) error {
	answer, err := c.say(ctx, wrapperspb.String(name))
	if err == nil && answer.GetValue() != name {
		err = errors.New("another answer")
	}
	return err
}

// stream has each message returned before it sends the next one, and then ends.
func (c client) stream(ctx context.Context, name string) error {
	s, err := c.open(ctx, talk)
	if err != nil {
		return err
	}
	defer s.end()
	for range messages {
		if err := s.exchange(name); err != nil {
			return err
		}
	}
	if err := s.done(); err != nil {
		return err
	}
	if _, err := s.receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the stream did not end: %w", err)
	}
	return nil
}

// exchange sends a message and has it returned.
func (s stream) exchange(text string) error {
	// io.EOF says that the stream is over, and receive says why.
	if err := s.send(wrapperspb.String(text)); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	m, err := s.receive()
	if err == nil && m.GetValue() != text {
		err = errors.New("another message")
	}
	return err
}

// A drain would wait for such a stream until the DrainTimeout, and cut it.
func TestALongStreamThatListensToLeavingEndsWell(t *testing.T) {
	for _, framework := range frameworks {
		t.Run(framework.name, func(t *testing.T) {
			socket, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer socket.Close()
			g := start(t, socket.(*net.TCPListener), restart.Politeclose(restart.NetHTTP), framework.handler(newBook()))
			ctx, cancel := context.WithTimeout(t.Context(), clienttest.Patience)
			defer cancel()
			s, err := framework.dial(t, socket.Addr().String()).open(ctx, stay)
			if err != nil {
				t.Fatal(err)
			}
			defer s.end()
			if err := s.exchange("hello"); err != nil {
				t.Fatal(err)
			}
			g.leave()
			if _, err := s.receive(); !errors.Is(err, io.EOF) {
				t.Errorf("the stream ended with %v, want %v", err, io.EOF)
			}
			s.done()
			g.stop(t)
		})
	}
}
