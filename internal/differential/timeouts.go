package differential

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"time"
)

func timeoutHandler(e *env, _ place, next http.Handler) http.Handler { return e.timeoutHandler(next) }

// firingTimeoutHandler is TimeoutHandler whose time is over when the handler gets
// stuck.
func firingTimeoutHandler(e *env, _ place, next http.Handler) http.Handler {
	handler := e.timeoutHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isPart(r) {
			r = r.WithContext(&stuckContext{r.Context(), e.state(r)})
		}
		handler.ServeHTTP(w, r)
	})
}

// timeoutHandler is TimeoutHandler, whose time is never over. It leaves its handler
// alone all the same when the one of a TimeoutHandler above it is, so that the
// client has to wait for the handler in either case.
func (e *env) timeoutHandler(next http.Handler) http.Handler {
	handler := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer e.state(r).unwinding.Done()
		next.ServeHTTP(w, r)
	}), time.Hour, "timeout")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.state(r).unwinding.Add(1)
		handler.ServeHTTP(w, r)
	})
}

// stuckContext has its deadline when a handler gets stuck.
type stuckContext struct {
	context.Context
	s *state
}

func (c *stuckContext) Done() <-chan struct{} { return c.s.stuck.c }

func (c *stuckContext) Err() error {
	select {
	case <-c.s.stuck.c:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// ownTimeout is a timeout as many write it: without a copy of the request.
func ownTimeout(e *env, _ place, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := e.state(r)
		var stuck <-chan struct{}
		if !isPart(r) {
			stuck = s.stuck.c
		}
		inner := httptest.NewRecorder()
		panicked := make(chan any, 1)
		done := make(chan struct{})
		s.unwinding.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					panicked <- p
				}
			}()
			next.ServeHTTP(inner, r)
			close(done)
		})
		select {
		case p := <-panicked:
			panic(p)
		case <-done:
			replay(w, inner)
		case <-stuck:
			http.Error(w, "given up", http.StatusGatewayTimeout)
		}
	})
}

func replay(w http.ResponseWriter, from *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), from.Header())
	w.WriteHeader(from.Code)
	w.Write(from.Body.Bytes())
}
