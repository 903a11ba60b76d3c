package goaway

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"golang.org/x/net/http2"
)

// speaker writes random frames as a server or a client of golang.org/x/net/http2
// would cut them.
type speaker struct {
	*http2.Framer
	*rand.Rand
	stream uint32
}

func newSpeaker(w *bytes.Buffer, random *rand.Rand) *speaker {
	return &speaker{http2.NewFramer(w, nil), random, 1}
}

func (s *speaker) bytes(most int) []byte { return make([]byte, s.IntN(most+1)) }

// say writes one frame, or a field block of several.
func (s *speaker) say() error {
	switch s.IntN(8) {
	case 0:
		return s.WriteSettings(make([]http2.Setting, s.IntN(4))...)
	case 1:
		return s.WriteSettingsAck()
	case 2:
		return s.WritePing(s.IntN(2) == 0, [8]byte{byte(s.IntN(256))})
	case 3:
		return s.WriteWindowUpdate(0, 1+s.Uint32N(1000))
	case 4:
		return s.WriteRSTStream(s.stream, http2.ErrCodeCancel)
	case 5:
		return s.WriteRawFrame(http2.FrameType(0x20+s.IntN(100)), 0, s.stream, s.bytes(40))
	case 6:
		s.stream += 2
		return s.sayHeaders()
	default:
		return s.WriteData(s.stream, false, s.bytes(30000))
	}
}

func (s *speaker) sayHeaders() error {
	continuations := s.IntN(4)
	err := s.WriteHeaders(http2.HeadersFrameParam{
		StreamID: s.stream, BlockFragment: s.bytes(60), EndHeaders: continuations == 0, PadLength: uint8(s.IntN(9)),
	})
	for i := range continuations {
		if err == nil {
			err = s.WriteContinuation(s.stream, i == continuations-1, s.bytes(60))
		}
	}
	return err
}

// pieces cuts b at random.
func (s *speaker) pieces(b []byte) (cut [][]byte) {
	for len(b) > 0 {
		n := min(len(b), 1+s.IntN(1+s.IntN(1+s.IntN(5000))))
		cut = append(cut, b[:n])
		b = b[n:]
	}
	return cut
}

func FuzzFramesAreFollowedWhereverTheyAreCut(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint8(30))
	}
	f.Fuzz(func(t *testing.T, seed uint64, many uint8) {
		var wire bytes.Buffer
		s := newSpeaker(&wire, rand.New(rand.NewPCG(seed, 0)))
		for range many {
			if err := s.say(); err != nil {
				t.Fatal(err)
			}
		}
		var followed []http2.FrameHeader
		var between []bool // after each
		var got frames
		for _, p := range s.pieces(bytes.Clone(wire.Bytes())) {
			for len(p) > 0 {
				n, whole := got.advance(p)
				if n == 0 {
					t.Fatal("no progress")
				}
				p = p[n:]
				if whole {
					followed = append(followed, http2.FrameHeader{
						Type: http2.FrameType(got.kind()), Flags: http2.Flags(got.flags()), Length: got.length(), StreamID: got.stream(),
					})
					between = append(between, got.between())
				}
				if whole == (got.seen != 0) {
					t.Fatalf("whole = %t with %d bytes of a header", whole, got.seen)
				}
			}
		}
		reader := http2.NewFramer(nil, &wire)
		for i, g := range followed {
			frame, err := reader.ReadFrame()
			if err != nil {
				t.Fatalf("frame %d: %v", i, err)
			}
			want := frame.Header()
			if g.Type != want.Type || g.Flags != want.Flags || g.Length != want.Length || g.StreamID != want.StreamID {
				t.Fatalf("frame %d is %v, followed %v", i, want, g)
			}
			open := (want.Type == http2.FrameHeaders || want.Type == http2.FrameContinuation) && !want.Flags.Has(http2.FlagHeadersEndHeaders)
			if between[i] == open {
				t.Fatalf("frame %d, %v, followed: between = %t", i, want, between[i])
			}
		}
		if _, err := reader.ReadFrame(); err != io.EOF {
			t.Fatalf("a frame was not followed: %v", err)
		}
	})
}
