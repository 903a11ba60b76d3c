package main

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/felixge/httpsnoop"
	"github.com/grafana/dskit/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// eagerHeader is the line that people write by hand: it is decided before the
// handler runs.
func eagerHeader() arrangement {
	return arrangement{"net/http, the eager header", netHTTP.alone(), func(application http.HandlerFunc, ends bool) (stack, error) {
		var leaving atomic.Bool
		leaving.Store(ends)
		return stack{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if leaving.Load() {
				w.Header().Set("Connection", "close")
			}
			application(w, r)
		})}, nil
	}}
}

// snooped finds the commit point with httpsnoop, at the same methods as
// politeclose, and has a flag for its only rule.
func snooped() arrangement {
	return arrangement{"net/http, httpsnoop", netHTTP.alone(), func(application http.HandlerFunc, ends bool) (stack, error) {
		var leaving atomic.Bool
		leaving.Store(ends)
		return stack{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			committed := false
			commit := func() {
				if !committed && leaving.Load() {
					w.Header().Set("Connection", "close")
				}
				committed = true
			}
			defer commit()
			application(httpsnoop.Wrap(w, hooks(commit)), r)
		})}, nil
	}}
}

func hooks(commit func()) httpsnoop.Hooks {
	return httpsnoop.Hooks{
		WriteHeader: func(next httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(status int) { commit(); next(status) }
		},
		Write: func(next httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(p []byte) (int, error) { commit(); return next(p) }
		},
		WriteString: func(next httpsnoop.WriteStringFunc) httpsnoop.WriteStringFunc {
			return func(s string) (int, error) { commit(); return next(s) }
		},
		ReadFrom: func(next httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) { commit(); return next(src) }
		},
		Flush: func(next httpsnoop.FlushFunc) httpsnoop.FlushFunc {
			return func() { commit(); next() }
		},
		FlushError: func(next httpsnoop.FlushErrorFunc) httpsnoop.FlushErrorFunc {
			return func() error { commit(); return next() }
		},
		Hijack: func(next httpsnoop.HijackFunc) httpsnoop.HijackFunc {
			return func() (net.Conn, *bufio.ReadWriter, error) { commit(); return next() }
		},
	}
}

// connectionTTL is the real middleware of grafana/dskit, which ends connections
// by age.
func connectionTTL() arrangement {
	return arrangement{"net/http, dskit's connection TTL", netHTTP.alone(), func(application http.HandlerFunc, ends bool) (stack, error) {
		least, most := time.Hour, 2*time.Hour
		if ends {
			least, most = time.Millisecond, time.Millisecond
		}
		ttl, err := middleware.NewHTTPConnectionTTLMiddleware(least, most, time.Minute, prometheus.NewRegistry())
		if err != nil {
			return stack{}, err
		}
		return stack{handler: ttl.Wrap(application), stop: func() error { ttl.Stop(); return nil }}, nil
	}}
}

type keepAliveKey struct{}

type keepAliveState struct {
	accepted time.Time
	requests int
}

// keepAliveLimits is written after the description of Traefik's
// keepAliveMaxRequests and keepAliveMaxTime, which no other program can import.
// Its count is not synchronized, as in Traefik, so it is for HTTP/1 only.
func keepAliveLimits() arrangement {
	return arrangement{"net/http, Traefik's keep-alive limits, re-created", netHTTP.alone(), func(application http.HandlerFunc, ends bool) (stack, error) {
		requests, age := 1<<40, time.Hour
		if ends {
			requests = 1
		}
		return stack{
			handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if state, ok := r.Context().Value(keepAliveKey{}).(*keepAliveState); ok {
					state.requests++
					if state.requests >= requests || time.Since(state.accepted) > age {
						w.Header().Set("Connection", "close")
					}
				}
				application(w, r)
			}),
			prepare: func(server *http.Server, listener net.Listener) (net.Listener, error) {
				server.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
					return context.WithValue(ctx, keepAliveKey{}, &keepAliveState{accepted: time.Now()})
				}
				return listener, nil
			},
		}, nil
	}}
}

// goawayChance is written after the description of kube-apiserver's
// --goaway-chance, whose package takes longer than a minute to build. It ends
// HTTP/2 connections only.
func goawayChance() arrangement {
	return arrangement{"net/http, kube-apiserver's GOAWAY chance, re-created", netHTTP.alone(), func(application http.HandlerFunc, ends bool) (stack, error) {
		chance := 0.0
		if ends {
			chance = 1
		}
		return stack{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 && rand.Float64() < chance {
				w.Header().Set("Connection", "close")
			}
			application(w, r)
		})}, nil
	}}
}
