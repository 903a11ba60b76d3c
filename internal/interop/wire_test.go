package interop

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/politeclose/politeclose/internal/clienttest"
)

// wire passes HTTP/2 connections on and counts the requests that have left their
// client. A client that reads GOAWAY withdraws what it has queued and not sent,
// and calls that an error too; no server can have lost those.
type wire struct {
	address  string
	requests atomic.Int64
}

func startWire(t *testing.T, target string) *wire {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{clienttest.Certificate()},
		NextProtos:   []string{"h2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: listener.Addr().String()}
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { w.pass(t, client.(*tls.Conn), target) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		connections.Wait()
	})
	return w
}

func (w *wire) pass(t *testing.T, client *tls.Conn, target string) {
	defer client.Close()
	server, err := tls.Dial("tcp", target, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Errorf("the server is not there for a connection: %v", err)
		return
	}
	defer server.Close()
	var directions sync.WaitGroup
	directions.Go(func() {
		io.Copy(client, server)
		client.CloseWrite()
	})
	directions.Go(func() {
		frames, counted := io.Pipe()
		directions.Go(func() { w.count(frames) })
		io.Copy(io.MultiWriter(counted, server), client)
		counted.Close()
		server.CloseWrite()
	})
	directions.Wait()
}

// count counts HEADERS frames (RFC 9113 §6.2); these requests have no trailers.
func (w *wire) count(r io.Reader) {
	const preface, frameHeader, headers = 24, 9, 1
	frames := bufio.NewReader(r)
	defer io.Copy(io.Discard, r)
	if _, err := frames.Discard(preface); err != nil {
		return
	}
	for {
		var header [frameHeader]byte
		if _, err := io.ReadFull(frames, header[:]); err != nil {
			return
		}
		if header[3] == headers {
			w.requests.Add(1)
		}
		length := binary.BigEndian.Uint32(header[:4]) >> 8
		if _, err := frames.Discard(int(length)); err != nil {
			return
		}
	}
}
