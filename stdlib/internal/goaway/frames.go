package goaway

import "encoding/binary"

// What is used of RFC 9113 §4.1 and §6.
const (
	headerLength = 9
	pingLength   = 8
	goAwayLength = 8 // without debug data

	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	framePushPromise  = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4

	maxStreamID = 1<<31 - 1
	noError     = 0
)

// frames follows the frames that pass in one direction, whatever pieces they are
// cut into. The zero value expects the first byte of a frame.
//
// A request with a body passes like this:
//
//	frame                       stream  between  opened  endsStream
//	HEADERS                     5       no       0       no
//	CONTINUATION, END_HEADERS   5       yes      5       no
//	DATA                        5       yes      0       no
//	DATA, END_STREAM            5       yes      0       yes
type frames struct {
	head   [headerLength + keptPayload]byte // of the frame that passes
	seen   int                              // bytes of its header
	rest   uint32                           // bytes of its payload still to come
	ending bool                             // the HEADERS that passed last had END_STREAM
	inside bool                             // a field block is open: only CONTINUATION may follow (RFC 9113 §6.10)
	begun  bool                             // a frame has passed whole
}

// keptPayload is how much of a payload is kept, of a PING and a GOAWAY.
const keptPayload = 8

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
	if kind := f.kind(); kind == framePing || kind == frameGoAway {
		if passed := f.length() - f.rest; passed < keptPayload {
			copy(f.head[headerLength+passed:], p[n:n+m])
		}
	}
	n += m
	f.rest -= uint32(m)
	if f.rest > 0 {
		return n, false
	}
	f.seen = 0
	f.begun = true
	switch f.kind() {
	case frameHeaders:
		f.ending = f.flags()&flagEndStream != 0
		f.inside = f.flags()&flagEndHeaders == 0
	case framePushPromise:
		f.ending = false
		f.inside = f.flags()&flagEndHeaders == 0
	case frameContinuation:
		f.inside = f.flags()&flagEndHeaders == 0
	}
	return n, true
}

// between reports whether the last frame has passed whole and another one may
// follow.
func (f *frames) between() bool { return f.seen == 0 && !f.inside }

// place reports whether a frame of ours may be put in here. The first frame of
// either side is its SETTINGS, and nothing may come before that (RFC 9113 §3.4).
func (f *frames) place() bool { return f.begun && f.between() }

// missing returns how many bytes there are up to the next one that decides where
// the frame ends, or to that end.
func (f *frames) missing() int {
	if f.seen < headerLength {
		return headerLength - f.seen
	}
	return int(f.rest)
}

// opened returns the stream whose field block the frame has completed, 0 if it
// has completed none.
func (f *frames) opened() uint32 {
	if kind := f.kind(); (kind == frameHeaders || kind == frameContinuation) && !f.inside {
		return f.stream()
	}
	return 0
}

// endsStream reports whether the frame that has just passed is the last one on
// its stream in this direction, other than a reset.
func (f *frames) endsStream() bool {
	switch f.kind() {
	case frameData:
		return f.flags()&flagEndStream != 0
	case frameHeaders, frameContinuation:
		return f.ending && !f.inside
	}
	return false
}

// The fields of the frame that passes, or of the one that has just passed.
func (f *frames) length() uint32     { return binary.BigEndian.Uint32(f.head[:4]) >> 8 }
func (f *frames) kind() byte         { return f.head[3] }
func (f *frames) flags() byte        { return f.head[4] }
func (f *frames) stream() uint32     { return binary.BigEndian.Uint32(f.head[5:9]) & maxStreamID }
func (f *frames) ping() uint64       { return binary.BigEndian.Uint64(f.head[headerLength:]) }
func (f *frames) lastStream() uint32 { return binary.BigEndian.Uint32(f.head[9:13]) & maxStreamID }
func (f *frames) errorCode() uint32  { return binary.BigEndian.Uint32(f.head[13:17]) }
