package interop

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// Eight workers share a connection.
func TestRestartsUnderAnHTTP2Client(t *testing.T) {
	certificate := certificateFlags(t)
	for _, way := range []way{politeclose, shutdown} {
		t.Run(way.name, func(t *testing.T) {
			b := newBook()
			server := newReplica(t, b, true, way.program(t, nil, certificate...)...)
			wire := startWire(t, server.address)
			r := restartUnder(t, server, startNode("http2"), traffic{url: "https://" + wire.address + "/", workers: 32, think: time.Millisecond, answer: answer})
			expectNothingLostOnTheWire(t, way, wire, r.requests, r.requests-r.lost)
			if way.name == politeclose.name && r.lost > 0 {
				t.Errorf("a client that sends again what it had not sent lost requests: %v", r)
			}
		})
	}
}

// expectNothingLostOnTheWire fails the test if politeclose left a request that had
// left its client without an answer, and if plain Shutdown left none.
func expectNothingLostOnTheWire(t *testing.T, way way, wire *wire, requests, answered int) {
	t.Helper()
	sent := int(wire.requests.Load())
	t.Logf("%s: %d requests, %d of them sent, %d of these lost", t.Name(), requests, sent, sent-answered)
	if sent < answered {
		t.Errorf("%d requests were sent, and %d were answered", sent, answered)
	}
	switch {
	case way.name == politeclose.name && sent > answered:
		t.Errorf("%d of %d requests that were sent were lost", sent-answered, sent)
	case way.name == shutdown.name && sent == answered:
		t.Errorf("plain Shutdown lost none of %d requests: the traffic proves nothing", sent)
	}
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
			expectNothingLostOnTheWire(t, politeclose, wire, r.requests, r.requests-r.lost)
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
