package stdlib

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/politeclose/politeclose/core"
)

// Ready returns a readiness handler: 200 and "ready" while ctl is not draining and
// no check fails, 503 and "draining" or "not ready" otherwise, so that a load balancer
// stops sending new connections. Give the balancer time to notice with [LameDuck]. A
// nil Controller never drains.
//
// The checks are asked for each request, all at once, and not while ctl is draining.
// One fails that returns an error, panics, takes longer than a second, or is nil. Its
// context has the request's values, and is done after that second; a check that has
// not returned is not called again, and goes on failing. What failed is not shown but
// logged, to the Controller's logger or to [slog.Default], when that changes.
//
// It is safe for concurrent use, and may call a [core.DrainWhen] function, once a
// second at most.
func Ready(ctl *core.Controller, checks ...func(context.Context) error) http.Handler {
	r := &readiness{ctl: ctl}
	for _, check := range checks {
		r.checks = append(r.checks, &readinessCheck{ask: check})
	}
	return r
}

type readiness struct {
	ctl    *core.Controller
	checks []*readinessCheck
	mu     sync.Mutex
	said   string // what has failed, as it was logged last
}

func (r *readiness) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	status, body := http.StatusOK, "ready\n"
	switch {
	case r.ctl != nil && r.ctl.Draining():
		status, body = http.StatusServiceUnavailable, "draining\n"
	case r.check(request.Context()) != nil:
		status, body = http.StatusServiceUnavailable, "not ready\n"
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// readinessTimeout is how long a check may take.
const readinessTimeout = time.Second

func (r *readiness) check(ctx context.Context) error {
	if len(r.checks) == 0 {
		return nil
	}
	calls := make([]*readinessCall, len(r.checks))
	for i, c := range r.checks {
		calls[i] = c.begin(ctx)
	}
	enough := time.NewTimer(readinessTimeout)
	defer enough.Stop()
	var failed []error
	for i, call := range calls {
		err := errCheckIsSlow
		select {
		case <-call.returned:
			err = call.err
		default:
			select {
			case <-call.returned:
				err = call.err
			case <-enough.C:
				enough.Reset(0) // for the others as well
			case <-ctx.Done():
				return ctx.Err() // nobody waits for the answer
			}
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("check %d: %w", i+1, err))
		}
	}
	err := errors.Join(failed...)
	r.say(err)
	return err
}

func (r *readiness) say(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	r.mu.Lock()
	changed := now != r.said
	r.said = now
	r.mu.Unlock()
	if !changed {
		return
	}
	logger := slog.Default()
	if r.ctl != nil {
		logger = r.ctl.Logger()
	}
	if err != nil {
		logger.Warn("politeclose: the readiness checks fail", "error", err)
	} else {
		logger.Info("politeclose: the readiness checks pass again")
	}
}

// readinessCheck is a check that is called once at a time: requests that come
// meanwhile have the same answer.
type readinessCheck struct {
	ask func(context.Context) error
	mu  sync.Mutex
	now *readinessCall // nil while none is under way
}

type readinessCall struct {
	returned chan struct{}
	err      error // once returned is closed
}

var (
	errCheckIsNil    = errors.New("the function is nil")
	errCheckPanicked = errors.New("the function panicked")
	errCheckEnded    = errors.New("the function ended its goroutine")
	errCheckIsSlow   = fmt.Errorf("the function has not returned within %v", readinessTimeout)
)

// begin returns the call that is under way, or a new one.
func (c *readinessCheck) begin(ctx context.Context) *readinessCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		call := &readinessCall{returned: make(chan struct{})}
		c.now = call
		go func() {
			call.err = errCheckEnded
			defer func() {
				c.mu.Lock()
				c.now = nil
				c.mu.Unlock()
				close(call.returned)
			}()
			call.err = c.call(ctx)
		}()
	}
	return c.now
}

func (c *readinessCheck) call(ctx context.Context) (err error) {
	if c.ask == nil {
		return errCheckIsNil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readinessTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errCheckPanicked, p)
		}
	}()
	return c.ask(ctx)
}
