package goaway

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
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

// BenchmarkConnections compares how long a connection with one request takes with
// and without Install, in turns, so that a machine that changes its pace does so
// for both. without/with is the ratio of the medians: how many connections a second
// there are with it for one without.
func BenchmarkConnections(b *testing.B) {
	for _, secure := range []bool{false, true} {
		b.Run(map[bool]string{false: "cleartext", true: "TLS"}[secure], func(b *testing.B) {
			var servers [2]*server
			for i := range servers {
				servers[i] = configured(secure, ok)
				if i == 1 {
					servers[i].installWith(b, func(*Conn) {})
				}
				servers[i].start(b)
			}
			request := oneRequest()
			var took [2][]time.Duration
			for b.Loop() {
				for i, s := range servers {
					began := time.Now()
					exchangeOnce(b, s, request)
					took[i] = append(took[i], time.Since(began))
				}
			}
			for _, t := range took {
				slices.Sort(t)
			}
			b.ReportMetric(float64(took[0][len(took[0])/2])/float64(took[1][len(took[1])/2]), "without/with")
		})
	}
}

// oneRequest is all that a client of one request has to say.
func oneRequest() []byte {
	b := bytes.NewBufferString(preface)
	framer := http2.NewFramer(b, nil)
	framer.WriteSettings()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "test"}} {
		encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
	framer.WriteSettingsAck()
	return b.Bytes()
}

func exchangeOnce(b *testing.B, s *server, request []byte) {
	b.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if s.secure {
		c = tls.Client(c, clientTLS())
	}
	if _, err := c.Write(request); err != nil {
		b.Fatal(err)
	}
	for framer := http2.NewFramer(nil, c); ; {
		f, err := framer.ReadFrame()
		if err != nil {
			b.Fatal(err)
		}
		if h := f.Header(); h.StreamID == 1 && h.Flags.Has(http2.FlagDataEndStream) {
			return
		}
	}
}
