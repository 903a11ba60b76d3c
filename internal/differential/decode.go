package differential

// source gives the bytes that make a program, and zeros behind them: a program is
// simpler for each byte that is smaller or missing.
type source []byte

func (s *source) below(n int) int {
	if len(*s) == 0 {
		return 0
	}
	b := int((*s)[0])
	*s = (*s)[1:]
	return b % n
}

// oneIn is true for one byte in n.
func (s *source) oneIn(n int) bool { return s.below(n) == n-1 }

// decode makes a program of any bytes.
func decode(data []byte) *program {
	s := source(data)
	p := &program{
		served: [...]served{byServe, byServe, byServe, byTrack, byTrackOnly, untracked}[s.below(6)],
		http2:  s.oneIn(3),
		rules: rules{
			route:    [...]string{"", "", sensitiveRoute, "POST " + sensitiveRoute}[s.below(4)],
			statuses: s.oneIn(4),
			match:    s.oneIn(4),
			count:    [...]int{0, 0, 0, 0, 1, 2, 3}[s.below(7)],
			exempt:   s.oneIn(3),
			idle:     s.oneIn(4),
		},
		drainAtEnd: s.oneIn(3),
	}
	for range s.below(5) {
		p.stack = append(p.stack, s.below(len(layers)))
	}
	p.settleStack()
	for i := range 1 + s.below(4) {
		r := s.request()
		p.settle(&r, i == 0)
		p.requests = append(p.requests, r)
	}
	p.settleOrder()
	// The last one tells what has become of the connection.
	p.requests = append(p.requests, request{method: "GET", path: p.prefixed("/item/last")})
	return p
}

// sensitivePaths mean the sensitive route, however they are written.
var sensitivePaths = []string{"/login", "/login/", "//login", "/%6Cogin"}

func (s *source) request() request {
	r := request{
		method: [...]string{"GET", "POST", "POST", "GET", "HEAD", "PUT"}[s.below(6)],
		path: [...]string{
			"/a", "/item/1", "/login", "/item/alias", "/health", "/missing", "/login/", "//login", "/%6Cogin", "*",
		}[s.below(10)],
		body: [...]body{noBody, shortBody, noBody, chunkedBody, shortBody}[s.below(5)],
	}
	if s.oneIn(64) {
		r.body = bigBody // net/http takes half a second to close behind it
	}
	switch s.below(12) {
	case 6:
		r.version = http10
	case 7:
		r.version = http10KeepAlive
	case 8:
		r.close = true
	case 9:
		r.halfClose = true
	}
	switch s.below(10) {
	case 4, 5, 6:
		r.pipelined = true
	case 7:
		r.drainBefore = true
	}
	switch s.below(12) {
	case 5, 6:
		r.send = split
	case 7:
		r.send = abandoned
	case 8, 9:
		r.expect = true
	}
	r.legacy, r.override = s.oneIn(4), s.oneIn(4)
	for range s.below(6) {
		r.script = append(r.script, s.below(len(ops)))
	}
	return r
}
