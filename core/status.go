package core

// statusSet holds the status codes that OnStatus allows, a bit for each.
type statusSet [10]uint64

const firstStatus = 200

func (s *statusSet) add(code int) {
	n := code - firstStatus
	s[n/64] |= 1 << (n % 64)
}

// has may be asked about any number: a handler can write what it likes.
func (s *statusSet) has(code int) bool {
	n := uint(code - firstStatus)
	return n/64 < uint(len(s)) && s[n/64]&(1<<(n%64)) != 0
}
