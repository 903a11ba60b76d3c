package goaway

import "encoding/binary"

// What is used of RFC 9113 §4.1 and §6.
const (
	headerLength = 9
	pingLength   = 8

	frameHeaders      = 0x1
	framePushPromise  = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameContinuation = 0x9

	flagAck        = 0x1
	flagEndHeaders = 0x4

	maxStreamID = 1<<31 - 1
)

// frames follows the frames that pass in one direction, whatever pieces they are
// cut into. The zero value expects the first byte of a frame.
type frames struct {
	head   [headerLength + pingLength]byte // of the frame that passes; a PING's payload too
	seen   int                             // bytes of head
	rest   uint32                          // bytes of the payload still to come
	inside bool                            // a field block is open: only CONTINUATION may follow (RFC 9113 §6.10)
	ended  bool                            // a frame has passed whole
}

// advance takes the bytes of p that belong to the frame that passes, at least one
// of a p that is not empty, and reports whether they are its last.
func (f *frames) advance(p []byte) (n int, whole bool) {
	if f.seen < headerLength {
		n = copy(f.head[f.seen:headerLength], p)
		f.seen += n
		if f.seen < headerLength {
			return n, false
		}
		f.rest = f.length()
	}
	m := min(int(f.rest), len(p)-n)
	if f.kind() == framePing && f.length() == pingLength {
		copy(f.head[headerLength+pingLength-f.rest:], p[n:n+m])
	}
	n += m
	f.rest -= uint32(m)
	if f.rest > 0 {
		return n, false
	}
	f.seen = 0
	f.ended = true
	switch f.kind() {
	case frameHeaders, framePushPromise, frameContinuation:
		f.inside = f.flags()&flagEndHeaders == 0
	}
	return n, true
}

// between reports whether a frame may be put in here.
func (f *frames) between() bool { return f.seen == 0 && !f.inside }

// missing returns how many bytes there are up to the next one that decides where
// the frame ends, or to that end.
func (f *frames) missing() int {
	if f.seen < headerLength {
		return headerLength - f.seen
	}
	return int(f.rest)
}

// The fields of the frame that passes, or of the one that has just passed.
func (f *frames) length() uint32 { return binary.BigEndian.Uint32(f.head[:4]) >> 8 }
func (f *frames) kind() byte     { return f.head[3] }
func (f *frames) flags() byte    { return f.head[4] }
func (f *frames) stream() uint32 { return binary.BigEndian.Uint32(f.head[5:9]) & maxStreamID }
func (f *frames) ping() []byte   { return f.head[headerLength:] }
