package goaway

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// wire is the connection below a Conn: what was written is kept, what is read is
// given.
type wire struct {
	net.Conn
	mu      sync.Mutex
	written bytes.Buffer
	accept  func(n int) (int, error) // how much of a Write is taken; nil: all
	read    func(p []byte) (int, error)
}

func (w *wire) Write(p []byte) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n = len(p)
	if w.accept != nil {
		n, err = w.accept(n)
	}
	w.written.Write(p[:n])
	return n, err
}

func (w *wire) Read(p []byte) (int, error)      { return w.read(p) }
func (w *wire) SetReadDeadline(time.Time) error { return nil }
func (w *wire) Close() error                    { return nil }

// debug is the reason that the tests give.
const debug = "because"

// heard is what a client makes of the server's bytes.
type heard struct {
	theirs       []byte // without our frames
	goAways      int    // with the highest stream
	pings        int
	beforeGoAway int // frames
}

// listen parses what is on the wire as strictly as the Framer does, which refuses
// anything between HEADERS and CONTINUATION.
func listen(t *testing.T, b []byte) (h heard) {
	t.Helper()
	rest := bytes.NewReader(b)
	framer := http2.NewFramer(nil, rest)
	framer.SetMaxReadFrameSize(1 << 20)
	for {
		start := len(b) - rest.Len()
		_, err := framer.ReadFrame()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			h.theirs = append(h.theirs, b[start:]...)
			return h
		}
		if err != nil {
			t.Fatalf("after %d bytes of %d: %v", start, len(b), err)
		}
		whole := b[start : len(b)-rest.Len()]
		switch {
		case bytes.Equal(whole, goAway(maxStreamID, debug)):
			h.goAways++
		case bytes.Equal(whole, ping(1)), bytes.Equal(whole, ping(2)):
			h.pings++
		default:
			h.theirs = append(h.theirs, whole...)
			if h.goAways == 0 {
				h.beforeGoAway++
			}
		}
	}
}

func FuzzAnnouncementStaysBetweenFrames(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, uint8(seed), uint8(seed%4))
	}
	f.Fuzz(func(t *testing.T, seed uint64, many, announcements uint8) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			var server bytes.Buffer
			s := newSpeaker(&server, random)
			s.WriteSettings()
			for range many {
				if err := s.say(); err != nil {
					t.Fatal(err)
				}
			}
			pieces := s.pieces(server.Bytes())
			below := new(wire)
			if random.IntN(2) == 0 {
				below.accept = func(n int) (int, error) {
					if random.IntN(10) > 0 {
						return n, nil
					}
					return random.IntN(n), os.ErrDeadlineExceeded
				}
			}
			c := &Conn{Conn: below}
			defer c.Close()
			announceAt := random.IntN(len(pieces) + 1)
			for i, p := range pieces {
				if i == announceAt {
					for range announcements {
						go c.Announce(debug)
					}
					time.Sleep(lastResponses)
					synctest.Wait()
				}
				for len(p) > 0 { // a server that goes on after a timeout, as WriteByteTimeout does
					n, err := c.Write(p)
					if n < 0 || n > len(p) || n < len(p) && err == nil {
						t.Fatalf("Write of %d bytes: %d, %v", len(p), n, err)
					}
					p = p[n:]
				}
			}
			below.accept = nil
			if announceAt == len(pieces) {
				for range announcements {
					go c.Announce(debug)
				}
			}
			time.Sleep(lastResponses)
			synctest.Wait()
			c.Write(nil)

			h := listen(t, below.written.Bytes())
			if !bytes.Equal(h.theirs, server.Bytes()) {
				t.Error("the server's own frames have changed")
			}
			want := min(int(announcements), 1)
			if h.goAways != want || h.pings != want {
				t.Errorf("%d GOAWAYs and %d PINGs after %d announcements", h.goAways, h.pings, announcements)
			}
			if want == 1 && h.beforeGoAway == 0 {
				t.Error("the GOAWAY came before the server's SETTINGS")
			}
		})
	})
}

func FuzzTheServerIsToldRightAfterTheAcknowledgement(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, many uint8) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			var client, want bytes.Buffer
			s := newSpeaker(&client, random)
			say := func(more ...byte) {
				for range random.IntN(int(many) + 1) {
					if err := s.say(); err != nil {
						t.Fatal(err)
					}
				}
				want.Write(client.Bytes())
				client.Reset()
				want.Write(more)
			}
			say(acknowledged(ping(2))...) // of a PING that was not sent yet
			say(acknowledged(ping(1))...)
			first := want.Len()
			say(ping(2)...) // the client's own, with the same payload
			say(acknowledged(ping(2))...)
			end := want.Len()
			say()
			sent := bytes.Clone(want.Bytes())
			rest := sent

			c := new(Conn)
			// The client has everything from the first acknowledgement on to say only
			// after the pause.
			below := &wire{read: func(p []byte) (int, error) {
				if c.step() == pausing && len(rest) <= len(sent)-first {
					time.Sleep(pause)
					synctest.Wait()
				}
				n := copy(p[:min(len(p), 1+random.IntN(100))], rest)
				rest = rest[n:]
				if n == 0 {
					return 0, io.EOF
				}
				return n, nil
			}}
			c.Conn = below
			defer c.Close()
			c.Write(settings())
			c.Announce(debug)
			synctest.Wait()
			var got []byte
			for {
				p := make([]byte, 1+random.IntN(5000))
				n, err := c.Read(p)
				got = append(got, p[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			wanted := append(append(sent[:end:end], goAway(0, "")...), sent[end:]...)
			if !bytes.Equal(got, wanted) {
				t.Errorf("a GOAWAY at %d of %d bytes; it belongs to %d", bytes.Index(got, goAway(0, "")), len(sent), end)
			}
		})
	})
}

func acknowledged(ping []byte) []byte {
	ping[4] |= flagAck
	return ping
}

func settings(more ...byte) []byte {
	return append([]byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}, more...)
}

func TestAnnounceWaitsForTheServersSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := new(wire)
		c := &Conn{Conn: below}
		defer c.Close()
		c.Announce(debug)
		synctest.Wait()
		if n := below.written.Len(); n > 0 {
			t.Fatalf("%d bytes before the server has written any", n)
		}
		c.Write(settings()[:4])
		c.Write(settings()[4:])
		if h := listen(t, below.written.Bytes()); h.goAways != 1 || h.beforeGoAway != 1 {
			t.Fatalf("after the SETTINGS: %+v", h)
		}
	})
}

func TestAnnounceGoesOutAtOnceWhenNothingIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := new(wire)
		c := &Conn{Conn: below}
		defer c.Close()
		c.Write(settings())
		c.Announce(debug)
		synctest.Wait()
		if h := listen(t, below.written.Bytes()); h.goAways != 1 || h.pings != 1 {
			t.Fatalf("without another Write: %+v", h)
		}
	})
}

func TestAnnounceAfterTheServersOwnGoAwaySaysNothing(t *testing.T) {
	for name, cut := range map[string]int{"before it": 0, "inside it": 5, "after it": 17} {
		t.Run("called "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				below := new(wire)
				c := &Conn{Conn: below}
				defer c.Close()
				c.Write(settings())
				own := goAway(7, "")
				c.Write(own[:cut])
				c.Announce(debug)
				synctest.Wait()
				c.Write(own[cut:])
				c.Write(settings())
				want := 0 // RFC 9113 §6.8: the stream that is named must not rise
				if cut == 0 {
					want = 1
				}
				if h := listen(t, below.written.Bytes()); h.goAways != want {
					t.Fatalf("%d GOAWAYs of ours, want %d", h.goAways, want)
				}
			})
		})
	}
}

func TestWhatAnErrorLeavesOfTheAnnouncementComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := new(wire)
		c := &Conn{Conn: below}
		defer c.Close()
		c.Write(settings())
		below.accept = func(int) (int, error) { return 3, os.ErrDeadlineExceeded }
		c.Announce(debug)
		synctest.Wait()
		if n, err := c.Write(settings()); n != 0 || err != os.ErrDeadlineExceeded {
			t.Fatalf("Write: %d, %v", n, err)
		}
		below.accept = nil
		if n, err := c.Write(settings()); n != len(settings()) || err != nil {
			t.Fatalf("Write: %d, %v", n, err)
		}
		h := listen(t, below.written.Bytes())
		if h.goAways != 1 || !bytes.Equal(h.theirs, settings(settings()...)) {
			t.Fatalf("%x", below.written.Bytes())
		}
	})
}

// halfOpen can end one direction.
type halfOpen struct {
	wire
	ended bool
}

func (h *halfOpen) CloseWrite() error { h.ended = true; return nil }

// said gives the client's frames to whoever reads from the Conn.
func said(frames ...[]byte) func(p []byte) (int, error) {
	all := bytes.NewReader(bytes.Join(frames, nil))
	return all.Read
}

func frame(kind http2.FrameType, flags http2.Flags, stream byte, payload ...byte) []byte {
	return append([]byte{0, 0, byte(len(payload)), byte(kind), byte(flags), 0, 0, 0, stream}, payload...)
}

const (
	endHeaders = http2.FlagHeadersEndHeaders
	endStream  = http2.FlagHeadersEndStream
)

func get(stream byte) []byte { return frame(http2.FrameHeaders, endHeaders|endStream, stream) }

// leave takes a Conn to the step at which the server is told.
func leave(c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.enter(leaving)
}

func TestTheServersDirectionEndsBehindItsLastResponse(t *testing.T) {
	below := &halfOpen{wire: wire{read: said(settings(), get(1))}}
	c := &Conn{Conn: below}
	defer c.Close()
	c.Write(settings())
	readAll(t, c)
	leave(c)
	c.Write(goAway(1, ""))
	if below.ended {
		t.Fatal("ended with a stream open")
	}
	response := frame(http2.FrameData, endStream, 1)
	c.Write(response[:4])
	if below.ended {
		t.Fatal("ended within the last frame")
	}
	c.Write(append(response[4:], frame(http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 1)...))
	if !below.ended {
		t.Fatal("not ended after the last response")
	}
	n := below.written.Len()
	if wrote, err := c.Write(ping(9)); wrote != len(ping(9)) || err != nil || below.written.Len() != n {
		t.Fatalf("an acknowledgement behind the end: %d, %v, %d bytes on the wire", wrote, err, below.written.Len()-n)
	}
}

// readAll reads what the client has said.
func readAll(t *testing.T, c *Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Fatal(err)
	}
}

// net/http tells a client whose request it does not need to the end with
// RST_STREAM, behind a whole response.
func TestTheServersDirectionEndsBehindTheResetOfARequestThatIsNotNeeded(t *testing.T) {
	below := &halfOpen{wire: wire{read: said(settings(), frame(http2.FrameHeaders, endHeaders, 1))}}
	c := &Conn{Conn: below}
	defer c.Close()
	c.Write(settings())
	readAll(t, c)
	leave(c)
	c.Write(goAway(1, ""))
	c.Write(frame(http2.FrameHeaders, endHeaders|endStream, 1))
	if below.ended {
		t.Fatal("ended before the reset")
	}
	c.Write(frame(http2.FrameRSTStream, 0, 1, 0, 0, 0, 0))
	if !below.ended {
		t.Fatal("not ended")
	}
}

func TestAConnWithoutAnAnnouncementIsEndedByTheServerAlone(t *testing.T) {
	below := new(halfOpen)
	c := &Conn{Conn: below}
	defer c.Close()
	c.Write(settings())
	c.Write(goAway(0, "")) // IdleTimeout
	if below.ended {
		t.Fatal("ended")
	}
}

func TestAnnounceAfterCloseDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := new(wire)
		c := &Conn{Conn: below}
		c.Write(settings())
		c.Close()
		c.Announce(debug)
		synctest.Wait()
		if h := listen(t, below.written.Bytes()); h.goAways > 0 || c.timer != nil {
			t.Fatalf("%+v, timer %v", h, c.timer)
		}
	})
}

func TestAConnThatIsNotAnnouncedAllocatesNothing(t *testing.T) {
	data := append([]byte{0, 0x40, 0, byte(http2.FrameData), 0, 0, 0, 0, 1}, make([]byte, 0x4000)...)
	below := &wire{read: func(p []byte) (int, error) { return copy(p, data), nil }}
	c := &Conn{Conn: below}
	p := make([]byte, len(data))
	var allocs float64
	for range 3 { // what a server of another test still does is counted, too
		allocs = testing.AllocsPerRun(100, func() {
			below.written.Reset()
			c.Write(data)
			c.Read(p)
		})
		if allocs == 0 {
			return
		}
	}
	t.Fatalf("%v allocations for a Read and a Write", allocs)
}
