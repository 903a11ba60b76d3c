//go:build full

package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/politeclose/politeclose/core"
)

// The service has a unary call, which returns what it is told, and two streams: one
// returns each message, the other only the first one, and stays until the server
// leaves. Its messages are protobuf's own, so that nothing has to be generated.
const (
	service = "politeclose.Echo"
	say     = "/" + service + "/Say"
	talk    = "/" + service + "/Talk"
	stay    = "/" + service + "/Stay"
)

type message = wrapperspb.StringValue

// book counts every call on both sides, by its name.
type book struct {
	mu       sync.Mutex
	executed map[string]int
	heard    map[string]error // nil: answered
}

func newBook() *book { return &book{executed: make(map[string]int), heard: make(map[string]error)} }

// execute notes that a server has the whole of a call, or the first message of a
// stream.
func (b *book) execute(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.executed[name]++
}

func (b *book) hear(name string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard[name] = err
}

func (b *book) calls() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.heard)
}

// result is what became of the calls, once nobody calls any more.
type result struct {
	calls, executed, failed, failedExecuted, repeated int
	causes                                            map[string]int
}

func (b *book) result() result {
	r := result{calls: len(b.heard), causes: make(map[string]int)}
	for name, err := range b.heard {
		if err != nil {
			r.failed++
			r.causes[err.Error()]++
			r.failedExecuted += min(b.executed[name], 1)
		}
		r.repeated += max(0, b.executed[name]-1)
	}
	for _, times := range b.executed {
		r.executed += times
	}
	return r
}

func (r result) String() string {
	return fmt.Sprintf("%d, %d executed, %d failed, %d of these executed, %d executed again %v",
		r.calls, r.executed, r.failed, r.failedExecuted, r.repeated, r.causes)
}

// A session is the server's side of a stream, whatever the framework.
type session func(ctx context.Context, b *book, receive func() (*message, error), send func(*message) error) error

var sessions = map[string]session{talk: echo, stay: untilLeaving}

func untilLeaving(ctx context.Context, _ *book, receive func() (*message, error), send func(*message) error) error {
	m, err := receive()
	if err != nil {
		return err
	}
	if err := send(m); err != nil {
		return err
	}
	select {
	case <-core.Leaving(ctx):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func echo(_ context.Context, b *book, receive func() (*message, error), send func(*message) error) error {
	for n := 0; ; n++ {
		m, err := receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n == 0 {
			b.execute(m.GetValue())
		}
		if err := send(m); err != nil {
			return err
		}
	}
}
