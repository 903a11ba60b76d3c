//go:build full

package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/transport"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/politeclose/politeclose/internal/clienttest"
	"github.com/politeclose/politeclose/internal/servertest"
	"github.com/politeclose/politeclose/stdlib"
)

const restarts = 10

// review is an AdmissionReview as kube-apiserver sends it.
const review = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"%s",` +
	`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},` +
	`"operation":"CREATE","userInfo":{},"object":{"kind":"Pod","apiVersion":"v1"}}}`

// generation is one process's worth of the webhook, which serves with TLS and
// HTTP/2, as controller-runtime does, on a socket that the next one shares.
type generation struct {
	srv    *http.Server
	end    func() error
	served chan error
}

func start(t *testing.T, socket *net.TCPListener, polite bool, executed *atomic.Int64) *generation {
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
	mux := http.NewServeMux()
	mux.Handle("/validate", &admission.Webhook{Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
		executed.Add(1)
		return admission.Allowed("")
	})})
	g := &generation{served: make(chan error, 1), srv: &http.Server{
		Handler: mux, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}, NextProtos: []string{"h2"}},
	}}
	bounded := func(end func(context.Context) error) func() error {
		return func() error {
			enough, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
			defer cancel()
			return end(enough)
		}
	}
	g.end = bounded(g.srv.Shutdown)
	if polite {
		ctl := servertest.NewController(t)
		if err := stdlib.Track(g.srv, ctl); err != nil {
			t.Fatal(err)
		}
		g.end = bounded(func(ctx context.Context) error {
			_, err := stdlib.Shutdown(ctx, g.srv, ctl)
			return err
		})
	}
	go func() { g.served <- g.srv.ServeTLS(listener, "", "") }()
	return g
}

func (g *generation) stop(t *testing.T) {
	t.Helper()
	if err := g.end(); err != nil {
		t.Error(err)
	}
	if err := clienttest.Receive(t, "the end of the server", g.served); err != http.ErrServerClosed {
		t.Error(err)
	}
}

// ask has one review answered.
func ask(client http.RoundTripper, url, uid string) error {
	ctx, cancel := context.WithTimeout(context.Background(), clienttest.Patience)
	defer cancel()
	// client-go's requests have a body that can be sent again as well.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(fmt.Appendf(nil, review, uid)))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Response struct {
			UID     string `json:"uid"`
			Allowed bool   `json:"allowed"`
		} `json:"response"`
	}
	err = json.NewDecoder(response.Body).Decode(&answer)
	if err != nil || response.ProtoMajor != 2 || !answer.Response.Allowed || answer.Response.UID != uid {
		return fmt.Errorf("%s %s: %+v: %w", response.Proto, response.Status, answer, err)
	}
	return nil
}

func restart(t *testing.T, polite bool) (failed int) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	client, err := transport.New(&transport.Config{TLS: transport.TLSConfig{Insecure: true}}) // nothing but loopback is asked
	if err != nil {
		t.Fatal(err)
	}
	var executed, answered, lost atomic.Int64
	var causes sync.Map
	now := start(t, socket.(*net.TCPListener), polite, &executed)
	stop := make(chan struct{})
	var workers sync.WaitGroup
	for worker := range 16 {
		workers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				if err := ask(client, "https://"+socket.Addr().String()+"/validate", fmt.Sprintf("%d-%d", worker, n)); err != nil {
					lost.Add(1)
					causes.Store(err.Error(), true)
					continue
				}
				answered.Add(1)
			}
		})
	}
	more := func() {
		enough := answered.Load() + 200
		clienttest.Eventually(t, "more answers", func() bool { return answered.Load() >= enough })
	}
	more()
	for range restarts {
		next := start(t, socket.(*net.TCPListener), polite, &executed)
		now.stop(t)
		now = next
		more()
	}
	close(stop)
	workers.Wait()
	now.stop(t)
	t.Logf("%d restarts: %d reviews, %d executed, %d failed", restarts, answered.Load()+lost.Load(), executed.Load(), lost.Load())
	causes.Range(func(cause, _ any) bool { t.Log(cause); return true })
	if polite && executed.Load() != answered.Load() {
		t.Errorf("%d reviews were answered, and %d executed", answered.Load(), executed.Load())
	}
	return int(lost.Load())
}

// Every failed review is a user's request refused, with failurePolicy: Fail. Plain
// Shutdown runs beside it for the log: client-go sends again what GOAWAY refuses, so
// that it need not lose any.
func TestRollingRestartsOfAWebhookFailNoReview(t *testing.T) {
	t.Run("politeclose", func(t *testing.T) {
		if failed := restart(t, true); failed > 0 {
			t.Errorf("%d reviews failed", failed)
		}
	})
	t.Run("Shutdown", func(t *testing.T) { restart(t, false) })
}
