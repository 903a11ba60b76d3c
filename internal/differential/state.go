package differential

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/politeclose/politeclose/core"
)

// The fields by which handlers know what program they are in.
const (
	numberField = "Number" // of the request
	partField   = "Part"   // of a request that the program makes itself
)

// An event is what may matter to a rule.
type event struct {
	kind eventKind
	// late events came after the response's header had left.
	late bool
}

type eventKind int

const (
	sawSensitive   eventKind = iota
	sawRoute                 // the sensitive route, in a way that must be seen
	sawHiddenRoute           // … in a way that may be seen
	sawOthersRoute           // … of background work that may be taken for part of this
	sawHealth                // the exempt route, in a way that must be seen
	sawCloseAfter
	sawStrayCloseAfter // CloseAfter with the context of a request that is over
	sawDrain
	sawResume
	sawAsksClose // a Connection field with close in it
	sawAsksKeep  // … and without
	sawHijack
	sawStuck
)

// state is what a program knows of one of its requests.
type state struct {
	number int
	request

	mu        sync.Mutex
	log       []string
	events    []event
	committed bool
	over      bool  // the handlers have returned
	again     bool  // it is sent once more, for the server to answer alone
	announced *bool // what core.Announced said to an access log
	handed    int   // how often net/http handed it out
	after     []func()
	unwinding sync.WaitGroup // handlers that were given up

	reached, answered, finished, released, stuck signal
}

// signal is a channel that may be closed more than once.
type signal struct {
	once sync.Once
	c    chan struct{}
}

func (s *signal) make() { s.c = make(chan struct{}) }
func (s *signal) send() { s.once.Do(func() { close(s.c) }) }

func (s *signal) sent() bool {
	select {
	case <-s.c:
		return true
	default:
		return false
	}
}

func newState(number int, r request) *state {
	s := &state{number: number, request: r}
	for _, signal := range []*signal{&s.reached, &s.answered, &s.finished, &s.released, &s.stuck} {
		signal.make()
	}
	return s
}

func (s *state) note(kind eventKind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over && kind != sawStrayCloseAfter {
		return // background work is nobody's
	}
	s.events = append(s.events, event{kind, s.committed})
}

// happened reports whether an event came in time.
func (s *state) happened(kind eventKind) bool {
	return slices.Contains(s.events, event{kind, false})
}

// happenedEver reports whether an event came, in time or not.
func (s *state) happenedEver(kind eventKind) bool {
	return slices.ContainsFunc(s.events, func(e event) bool { return e.kind == kind })
}

func (s *state) logf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

// sawAnnounced keeps what an access log was told, where it can be right: when the
// header had left.
func (s *state) sawAnnounced(_ core.Reason, announced bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed {
		s.announced = &announced
	}
}

func (s *state) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed = true
}

// numberOf returns the number of the request that r is, or is part of.
func numberOf(r *http.Request) int {
	n, err := strconv.Atoi(r.Header.Get(numberField))
	if err != nil {
		panic("a request without a number: " + r.RequestURI)
	}
	return n
}

func isPart(r *http.Request) bool { return r.Header.Get(partField) != "" }

// dump prints a header in a fixed order, without what differs by its nature.
func dump(h http.Header) string {
	var fields []string
	for name, values := range h {
		if name != "Date" {
			fields = append(fields, fmt.Sprintf("%s=%q", name, values))
		}
	}
	slices.Sort(fields)
	return strings.Join(fields, " ")
}
