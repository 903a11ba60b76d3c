package goaway

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// A response of a HEADERS and a DATA frame over loopback, read by the client in
// one go: what a Conn adds to a net.Conn.
func BenchmarkWrite(b *testing.B) {
	var response bytes.Buffer
	framer := http2.NewFramer(&response, nil)
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 60), EndHeaders: true})
	framer.WriteData(1, true, make([]byte, 500))
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"bare": func(c net.Conn) net.Conn { return c },
		"Conn": func(c net.Conn) net.Conn { return &Conn{Conn: c} },
	} {
		b.Run(name, func(b *testing.B) {
			client, server := loopback(b)
			go io.Copy(io.Discard, client)
			c := wrap(server)
			b.ReportAllocs()
			for b.Loop() {
				c.Write(response.Bytes())
			}
		})
	}
}

// A request as net/http reads it: each header and each payload with a Read of its
// own.
func BenchmarkRead(b *testing.B) {
	var request bytes.Buffer
	framer := http2.NewFramer(&request, nil)
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: make([]byte, 60), EndHeaders: true})
	framer.WriteData(1, true, make([]byte, 500))
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"bare": func(c net.Conn) net.Conn { return c },
		"Conn": func(c net.Conn) net.Conn { return &Conn{Conn: c} },
	} {
		b.Run(name, func(b *testing.B) {
			client, server := loopback(b)
			go func() {
				for {
					if _, err := client.Write(request.Bytes()); err != nil {
						return
					}
				}
			}()
			c := wrap(server)
			p := make([]byte, 500)
			b.ReportAllocs()
			for b.Loop() {
				for _, n := range []int{headerLength, 60, headerLength, 500} {
					if _, err := io.ReadFull(c, p[:n]); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func loopback(b *testing.B) (client, server net.Conn) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	if server, err = ln.Accept(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// Requests of 16 streams on one connection to a server with and without Install.
func BenchmarkRequests(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, install := range []bool{false, true} {
			name := map[bool]string{false: "cleartext", true: "TLS"}[secure] + "/" + map[bool]string{false: "without", true: "with"}[install]
			b.Run(name, func(b *testing.B) { benchmarkRequests(b, secure, install) })
		}
	}
}

func benchmarkRequests(b *testing.B, secure, install bool) {
	s := configured(secure, ok)
	if install {
		s.installWith(b, func(*Conn) {})
	}
	s.start(b)
	tr := s.transport(b)
	b.SetParallelism(8)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := post(tr, s.url(), http.NoBody); err != nil {
				b.Error(err)
			}
		}
	})
}
