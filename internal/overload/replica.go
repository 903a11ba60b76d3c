package overload

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/politeclose/politeclose/core"
	"github.com/politeclose/politeclose/internal/certificate"
	"github.com/politeclose/politeclose/stdlib"
)

// replicaHeader tells the client who answered.
const replicaHeader = "X-Replica"

// replica is one server.
type replica struct {
	address string
	ctl     *core.Controller
	tossed  atomic.Int64 // closes by the rule's own handler
	stop    func()
}

func startReplica(cfg Config, number int, work func()) (*replica, error) {
	quiet := core.Logger(slog.New(slog.DiscardHandler))
	ctl, err := core.New(append(cfg.Rule.options(cfg), quiet)...)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("overload: %w", err)
	}
	r := &replica{address: l.Addr().String(), ctl: ctl}
	srv := &http.Server{Handler: stdlib.Middleware(ctl)(r.handler(cfg, number, work))}
	options := []stdlib.ServeOption{stdlib.On(l), stdlib.DrainTimeout(time.Second), stdlib.IdleGrace(0)}
	if cfg.TLS {
		made, err := certificate.SelfSigned()
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{made}, NextProtos: []string{"http/1.1"}}
		options = append(options, stdlib.TLS("", ""))
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		stdlib.Serve(ctx, srv, ctl, options...)
	}()
	r.stop = func() {
		cancel()
		<-served
	}
	return r, nil
}

func (r *replica) handler(cfg Config, number int, work func()) http.Handler {
	name := strconv.Itoa(number)
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		io.Copy(io.Discard, request.Body)
		work()
		w.Header().Set(replicaHeader, name)
		io.WriteString(w, name)
	})
	if cfg.Rule.wrap != nil {
		h = cfg.Rule.wrap(cfg, h, &r.tossed)
	}
	return h
}

// queue is the work of a replica with so many workers: a request waits for its
// turn and then takes one of them for the service time. It uses no CPU, so that
// three replicas fit on a small machine.
func queue(workers int, service time.Duration) (work func()) {
	free := make(chan struct{}, workers)
	return func() {
		free <- struct{}{}
		time.Sleep(service)
		<-free
	}
}

// closes is how many connections the replica's rule has ended.
func (r *replica) closes() int {
	return int(r.tossed.Load()) + int(r.ctl.Stats().Closes[core.ReasonLoad])
}
