package goaway

// streams are those that the client has opened and that have not ended.
//
// A stream ends with END_STREAM in both directions or with a reset in either. With
// END_STREAM from the server its response is whole, and that is what an
// announcement waits for; the client may still send.
type streams struct {
	open    map[uint32]ends
	highest uint32 // that the client has opened

	awaited   int    // responses under way at the announcement, and still
	awaitedTo uint32 // their highest stream
}

// ends are the directions in which a stream has ended.
type ends uint8

const (
	fromClient ends = 1 << iota
	fromServer
	both = fromClient | fromServer
)

// begin notes that the client has opened a stream, unless it is known: trailers
// come in HEADERS too.
func (s *streams) begin(stream uint32) {
	if stream <= s.highest || stream%2 == 0 {
		return
	}
	s.highest = stream
	if s.open == nil {
		s.open = make(map[uint32]ends)
	}
	s.open[stream] = 0
}

// end notes that a stream has ended in these directions.
func (s *streams) end(stream uint32, in ends) {
	before, ok := s.open[stream]
	if !ok {
		return
	}
	if after := before | in; after == both {
		delete(s.open, stream)
	} else {
		s.open[stream] = after
	}
	if before&fromServer == 0 && in&fromServer != 0 && stream <= s.awaitedTo {
		s.awaited--
	}
}

// await makes awaited count the responses that are under way now.
func (s *streams) await() {
	s.awaitedTo = s.highest
	for _, ended := range s.open {
		if ended&fromServer == 0 {
			s.awaited++
		}
	}
}

// refuse forgets the streams that the server's GOAWAY does not accept.
func (s *streams) refuse(above uint32) {
	for stream := range s.open {
		if stream > above {
			s.end(stream, both)
		}
	}
}
