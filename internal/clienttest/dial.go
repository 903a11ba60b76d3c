// Package clienttest is the client's side of the tests: connections of which a
// test sees every byte and the end, and bounded waits.
package clienttest

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// Patience bounds every wait for something that is certain to come.
const Patience = 20 * time.Second

// dial connects to a server on a loopback address. The connection's reads and
// writes fail after Patience, and the test's end closes it.
func dial(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(Patience))
	return conn
}

func dialTLS(t testing.TB, address, protocol string) net.Conn {
	t.Helper()
	conn := tls.Client(dial(t, address), &tls.Config{
		InsecureSkipVerify: true, // nothing but loopback is dialled
		NextProtos:         []string{protocol},
		CurvePreferences:   []tls.CurveID{tls.CurveP256}, // the default is slow under the race detector
	})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != protocol {
		t.Fatalf("the server negotiated %q instead of %q", got, protocol)
	}
	return conn
}
