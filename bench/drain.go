package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"knative.dev/pkg/network/handlers"

	"github.com/politeclose/politeclose/internal/restart"
)

// notice is how long the methods without an end of their own wait.
const notice = 200 * time.Millisecond

// drainMethods begins with what the others are compared with. The patience stands
// for the 30 s after which Kubernetes kills.
func drainMethods(patience time.Duration) []restart.Method {
	return []restart.Method{
		named("Shutdown", restart.Shutdown()),
		named("gin-contrib/graceful, re-created", ginGraceful()),
		named("sleep, then Shutdown", sleepThenShutdown()),
		named("header and sleep, then Shutdown", restart.HeaderThenShutdown()),
		named("knative's Drainer, then Shutdown", knativeDrainer(patience)),
		named("politeclose", restart.Politeclose(restart.NetHTTP)),
	}
}

func named(name string, m restart.Method) restart.Method {
	m.Name = name
	return m
}

// sleepThenShutdown is the sleep of a preStop hook, or by hand.
func sleepThenShutdown() restart.Method {
	return restart.Method{Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		return shutdownAfter(ctx, server, listener, func() { time.Sleep(notice) })
	}}
}

// shutdownAfter serves until ctx is done and wait has returned, and then calls
// Shutdown. If wait closes the server, that is the end.
func shutdownAfter(ctx context.Context, server *http.Server, listener net.Listener, wait func()) error {
	waited, done := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		defer done()
		wait()
	})
	err := restart.Shutdown().Serve(waited, server, listener)
	if stop() {
		done()
		return err
	}
	<-waited.Done() // Serve returns before Close does
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// knativeDrainer waits until no request has come for the quiet period. What has
// not become quiet after the patience is killed.
func knativeDrainer(patience time.Duration) restart.Method {
	return restart.Method{Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		drainer := &handlers.Drainer{Inner: server.Handler, QuietPeriod: notice}
		server.Handler = drainer
		return shutdownAfter(ctx, server, listener, func() {
			kill := time.AfterFunc(patience, func() {
				server.Close()
				drainer.Reset() // ends Drain
			})
			defer kill.Stop()
			drainer.Drain()
		})
	}}
}

// ginGraceful is written after the description of gin-contrib/graceful: gin on a
// server with a time limit for headers, ended by a Shutdown that waits for up to
// 30 s. (The limit of restart.Shutdown, 25 s, is never reached here.)
func ginGraceful() restart.Method {
	return restart.Method{Serve: func(ctx context.Context, server *http.Server, listener net.Listener) error {
		gin.SetMode(gin.ReleaseMode)
		engine := gin.New()
		engine.POST("/", gin.WrapH(server.Handler))
		server.Handler = engine
		server.ReadHeaderTimeout = 5 * time.Second
		return restart.Shutdown().Serve(ctx, server, listener)
	}}
}

// restarts measures methods in turn, round after round.
func restarts(ctx context.Context, c restart.Config, methods []restart.Method, size sizes) ([]restart.Result, error) {
	results := make([]restart.Result, len(methods))
	c.Restarts = size.restarts
	for range size.restartRounds {
		for i, method := range methods {
			c.Method = method
			r, err := restart.Run(ctx, c)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", method.Name, err)
			}
			sum := &results[i]
			sum.Method = r.Method
			sum.Restarts += r.Restarts
			sum.Requests += r.Requests
			sum.Answered += r.Answered
			sum.Lost += r.Lost
			sum.Drains = slices.Concat(sum.Drains, r.Drains)
		}
	}
	return results, nil
}

func drainSection(ctx context.Context, size sizes) (string, error) {
	var text strings.Builder
	fmt.Fprintf(&text, `## A restart under load

Server generations hand over on one listening socket, under HTTP/1.1 clients that send POSTs which cannot be replayed. A
request is lost if it was sent and got no answer. "Sleep" is %v, and so is the quiet period of the Drainer, which waits
until no request has come for so long; a server that is not quiet after %v is killed, as Kubernetes does after 30 s. The
methods take turns.

`, notice, size.patience)
	for _, traffic := range []restart.Config{
		{Clients: 64, Think: 2 * time.Millisecond},
		{Clients: 256, Think: 20 * time.Millisecond},
	} {
		results, err := restarts(ctx, traffic, drainMethods(size.patience), size)
		if err != nil {
			return "", fmt.Errorf("restarts: %w", err)
		}
		t := newTable(fmt.Sprintf("%d clients, %v think", traffic.Clients, traffic.Think),
			"restarts", "requests", "lost", "lost per restart", "× Shutdown's", "drain, median", "drain, worst")
		for _, r := range results {
			t.row(r.Method, fmt.Sprint(r.Restarts), fmt.Sprint(r.Requests), fmt.Sprint(r.Lost),
				fmt.Sprintf("%.1f", r.LostPerRestart()), ratio(r.LostPerRestart()/results[0].LostPerRestart()),
				milliseconds(r.DrainMedian()), milliseconds(r.DrainWorst()))
		}
		fmt.Fprintf(&text, "%s\n", t)
	}
	return text.String(), nil
}
