package interop

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
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

func TestClosesOutsideADrainOverHTTP2(t *testing.T) {
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			b := newBook()
			server := startObserved(t, b, true, rule.options...)
			wire := startWire(t, server.address)
			startNode("http2")(t, traffic{url: "https://" + wire.address + "/", workers: 16, each: 40, think: 5 * time.Millisecond, answer: answer}, b)()
			r := b.result(t)
			if lost := lostOnTheWire(t, wire, r.requests, r.requests-r.lost); lost > 0 {
				t.Errorf("%d requests that were sent were lost", lost)
			}
			if r.lost > 0 {
				t.Errorf("a client that sends again what it had not sent lost requests: %v", r)
			}
			server.end(t)
			if closes := server.ctl.Stats().Closes[rule.reason]; closes < 2 {
				t.Errorf("%d connections were closed for %s, want 2 or more", closes, rule.reason)
			}
		})
	}
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
