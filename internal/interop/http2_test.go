package interop

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// Eight workers share a connection.
func TestRestartsUnderAnHTTP2Client(t *testing.T) {
	certificate := certificateFlags(t)
	for _, way := range []way{politeclose, shutdown} {
		t.Run(way.name, func(t *testing.T) {
			expectLosses(t, way, func() (lost int) {
				server := newReplica(t, newBook(), true, way.program(t, nil, certificate...)...)
				wire := startWire(t, server.address)
				r := restartUnder(t, way, server, startNode("http2"), traffic{url: "https://" + wire.address + "/", workers: 32, think: time.Millisecond, answer: answer})
				lost = lostOnTheWire(t, wire, r.requests, r.requests-r.lost)
				if way.name == politeclose.name && r.lost > lost {
					t.Logf("a client that sends again what it had not sent lost requests: %v", r)
					lost = r.lost
				}
				return lost
			})
		})
	}
}

// The clients of docs/clients.md, at full size. Those that take a GOAWAY for a failure
// lose requests with either; the same with no restart at all shows what they lose
// by themselves.
func TestRestartsUnderEveryHTTP2Client(t *testing.T) {
	for _, client := range http2ClientsOfFullSize() {
		for _, workers := range []int{1, 16} {
			if workers == 1 && client.name == "Python httpx http2" {
				continue // 50 ms each, and its sixteen have a connection each
			}
			t.Run(fmt.Sprintf("%s, %d at a time", client.name, workers), func(t *testing.T) {
				restartUnderHTTP2(t, client, workers)
			})
		}
	}
}

func restartUnderHTTP2(t *testing.T, client client, workers int) {
	certificate := certificateFlags(t)
	lost := 0 // of what was sent
	run := func(t *testing.T, way way) result {
		server := newReplica(t, newBook(), true, way.program(t, nil, certificate...)...)
		wire := startWire(t, server.address)
		r := restartUnder(t, way, server, client.start, traffic{url: "https://" + wire.address + "/", workers: workers, think: 2 * time.Millisecond, answer: answer})
		lost = lostOnTheWire(t, wire, r.requests, r.requests-r.lost)
		return r
	}
	polite := measure(t, politeclose, run)
	if lost > 0 && slices.Contains(goOnAtGoAway, client.name) {
		t.Errorf("%d requests that were sent were lost", lost)
	}
	measure(t, shutdown, run)
	if polite.lost > 0 {
		measure(t, noRestart, run)
	}
}

// goOnAtGoAway are the clients that go on with the streams which they have opened, as
// RFC 9113 §6.8 has it. What they had not sent they may fail.
var goOnAtGoAway = []string{"Go net/http", "Node http2", "Node22 undici allowH2", "libsoup idempotent", "Java Apache HttpClient async", "Chromium fetch", "Firefox fetch"}

// expectLosses fails the test if politeclose lost a request, and if plain Shutdown
// lost none in three runs.
func expectLosses(t *testing.T, way way, run func() (lost int)) {
	t.Helper()
	if way.name == politeclose.name {
		if lost := clienttest.Undisturbed(t, clienttest.Watched(run), func(lost int) bool { return lost > 0 }); lost > 0 {
			t.Errorf("%d requests were lost", lost)
		}
		return
	}
	for range 3 {
		if run() > 0 {
			return
		}
	}
	t.Error("plain Shutdown lost nothing: the traffic proves nothing")
}

// lostOnTheWire is the number of requests that had left their client and were not
// answered.
func lostOnTheWire(t *testing.T, wire *wire, requests, answered int) int {
	t.Helper()
	sent := int(wire.requests.Load())
	t.Logf("%s: %d requests, %d of them sent, %d of these lost", t.Name(), requests, sent, sent-answered)
	if sent < answered {
		t.Errorf("%d requests were sent, and %d were answered", sent, answered)
	}
	return sent - answered
}

// Node's client, and at full size those of docs/clients.md.
func TestClosesOutsideADrainOverHTTP2(t *testing.T) {
	clients := http2ClientsOfFullSize()
	if clients == nil {
		clients = []client{{"Node http2", startNode("http2")}}
	}
	for _, client := range clients {
		for _, rule := range rules {
			t.Run(client.name+"/"+rule.name, func(t *testing.T) {
				t.Parallel()
				r, lost := closeOverHTTP2(t, client, rule, 16, 20)
				if lost > 0 && slices.Contains(goOnAtGoAway, client.name) {
					t.Errorf("%d requests that were sent were lost", lost)
				}
				if r.lost > 0 && client.name == "Node http2" {
					t.Errorf("a client that sends again what it had not sent lost requests: %v", r)
				}
			})
		}
	}
}

// With one request at a time, each of which ends its connection, no client fails what
// was executed. Of those to whom any GOAWAY is a failure some fail a request that
// crosses it, and fewer than where the handler sets Connection: close by itself.
func TestASensitiveRouteOverHTTP2WithOneRequestAtATime(t *testing.T) {
	for _, client := range http2ClientsOfFullSize() {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			r, _ := closeOverHTTP2(t, client, sensitive, 1, 100)
			byHand := newBook()
			client.start(t, traffic{url: "https://" + startByHand(t, byHand) + "/", workers: 1, each: 100, think: 5 * time.Millisecond, answer: answer}, byHand)()
			plain := byHand.added()
			t.Logf("%s, Connection: close by hand: %v", t.Name(), plain)
			if r.lostExecuted > 0 && (!slices.Contains(failAtGoAway, client.name) || r.lostExecuted >= plain.lostExecuted) {
				t.Errorf("%d requests were executed and are said to have failed, %d by hand: %v", r.lostExecuted, plain.lostExecuted, r)
			}
		})
	}
}

// failAtGoAway are the clients to whom any GOAWAY is a failure.
var failAtGoAway = []string{"Node undici allowH2", "Java HttpClient", "Python httpx http2"}

// startByHand starts a server of net/http alone.
func startByHand(t *testing.T, b *book) (address string) {
	t.Helper()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		b.replica(executedPrefix + r.Header.Get(idHeader))
		w.Header().Set("Connection", "close")
		io.WriteString(w, answer)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{clienttest.Certificate()}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// closeOverHTTP2 has a rule end a client's connections. lost are the requests that had
// left the client.
func closeOverHTTP2(t *testing.T, client client, rule rule, workers, each int) (r result, lost int) {
	t.Helper()
	b := newBook()
	server := startAnswering(t, b, rule.expected(), true, rule.options...)
	wire := startWire(t, server.address)
	client.start(t, traffic{url: "https://" + wire.address + "/", workers: workers, each: each, think: 5 * time.Millisecond, answer: rule.expected()}, b)()
	r = b.result(t)
	t.Logf("%s: %v", t.Name(), r)
	lost = lostOnTheWire(t, wire, r.requests, r.requests-r.lost)
	server.end(t)
	if closes := server.ctl.Stats().Closes[rule.reason]; closes < 2 {
		t.Errorf("%d connections were closed for %s, want 2 or more", closes, rule.reason)
	}
	return r, lost
}

// certificateFlags makes files of the test certificate.
func certificateFlags(t *testing.T) []string {
	t.Helper()
	certificate := clienttest.Certificate()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return []string{
		"-tls-cert", write("cert.pem", "CERTIFICATE", certificate.Certificate[0]),
		"-tls-key", write("key.pem", "PRIVATE KEY", key),
	}
}
