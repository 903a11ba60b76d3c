package goaway

import (
	"cmp"
	"slices"
)

// streams are those that the client has opened and that have not ended, in their
// order.
//
// A stream ends with END_STREAM in both directions or with a reset in either. With
// END_STREAM from the server its response is whole, and that is what an
// announcement waits for; the client may still send:
//
//	announced with streams 5 and 9 open   awaited 2
//	the client opens 11                   awaited 2, since it is above 9
//	END_STREAM from the server on 9       awaited 1; 9 stays open: the client uploads
//	RST_STREAM from the client on 5       awaited 0; a response is under way, on 11
type streams struct {
	open    []stream
	highest uint32 // that the client has opened

	awaited   int    // responses under way at the announcement, and still
	awaitedTo uint32 // their highest stream
}

type stream struct {
	id    uint32
	ended directions
}

type directions uint8

const (
	fromClient directions = 1 << iota
	fromServer
	both = fromClient | fromServer
)

func (s *streams) none() bool { return len(s.open) == 0 }

// begin notes that the client has opened a stream, unless it is known: trailers
// come in HEADERS too.
func (s *streams) begin(id uint32) {
	if id > s.highest && id%2 == 1 {
		s.highest = id
		s.open = append(s.open, stream{id: id})
	}
}

func (s *streams) find(id uint32) (at int, open bool) {
	return slices.BinarySearchFunc(s.open, id, func(s stream, id uint32) int { return cmp.Compare(s.id, id) })
}

// end notes that a stream has ended in these directions, and reports whether a
// response has ended with that.
func (s *streams) end(id uint32, in directions) (responded bool) {
	at, open := s.find(id)
	if !open {
		return false
	}
	before := s.open[at].ended
	if s.open[at].ended |= in; s.open[at].ended == both {
		s.open = slices.Delete(s.open, at, at+1)
	}
	responded = before&fromServer == 0 && in&fromServer != 0
	if responded && id <= s.awaitedTo {
		s.awaited--
	}
	return responded
}

// await makes awaited count the responses that are under way now.
func (s *streams) await() {
	s.awaitedTo = s.highest
	for _, open := range s.open {
		if open.ended&fromServer == 0 {
			s.awaited++
		}
	}
}

// sinceAwait returns how many streams the client has opened since await. A client's
// have odd numbers (RFC 9113 §5.1.1).
func (s *streams) sinceAwait() int { return int(s.highest-s.awaitedTo) / 2 }

// responding reports whether a response is under way.
func (s *streams) responding() bool {
	return slices.ContainsFunc(s.open, func(s stream) bool { return s.ended&fromServer == 0 })
}

// refuse forgets the streams that the server's GOAWAY does not accept.
func (s *streams) refuse(above uint32) {
	at, _ := s.find(above + 1)
	s.open = s.open[:at]
}
