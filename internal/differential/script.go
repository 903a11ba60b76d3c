package differential

import (
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// call is one run of a handler.
type call struct {
	e *env
	w http.ResponseWriter
	r *http.Request
	*state
	// The trailer of a response that declared one is written at the end.
	trailer bool
	told    bool // a drain has told the stream to leave, or may have
	jobs    int  // how often it has begun background work
}

// serve runs the script of the request.
func (e *env) serve(w http.ResponseWriter, r *http.Request) {
	c := &call{e: e, w: w, r: r, state: e.state(r)}
	if isPart(r) {
		c.part()
		return
	}
	// What follows may wait for the rest of the body, also within net/http.
	defer c.reached.send()
	for _, op := range c.script {
		if !ops[op].quick {
			c.reached.send()
		}
		ops[op].do(c)
	}
	if c.trailer {
		c.w.Header().Set("X-Trailer", "t")
	}
}

// part is the handler of a request that the program makes itself.
func (c *call) part() {
	if strings.Contains(c.r.Header.Get(partField), "close") {
		c.w.Header().Set("Connection", "close")
	}
	if strings.Contains(c.r.Header.Get(partField), "ask") {
		c.closeAfter()
	}
	c.w.WriteHeader(http.StatusForbidden)
	io.WriteString(c.w, "part\n")
}

// committed notes that the header leaves, where nobody holds it back.
func (e *env) committed(here place, r *http.Request) {
	if !here.buffered && !isPart(r) {
		e.state(r).commit()
	}
}

func (c *call) committed() { c.e.committed(c.e.bottom, c.r) }

func (c *call) wrote(what string, n int64, err error) {
	if c.r.ProtoMajor == 1 || c.method != http.MethodHead {
		c.logf("%s: %d, %v", what, n, err) // or the stream may have ended by now
	}
	c.committed()
}

// read writes down what was read before the header left. Behind it net/http throws
// the rest of the body away, unless it is going to close the connection.
func (c *call) read(n int, err error) {
	c.mu.Lock()
	committed := c.state.committed
	c.mu.Unlock()
	if !committed {
		c.logf("read %d: %v", n, err)
	}
}

func (c *call) controller() *http.ResponseController { return http.NewResponseController(c.w) }

// answers reports whether the request's handler answers a client that will
// abandon the request afterwards.
func (s *state) answers() bool {
	return slices.ContainsFunc(s.script, func(i int) bool { return ops[i].answers })
}

// dies reports whether the request's handler ends by no return.
func (s *state) dies() bool {
	return slices.ContainsFunc(s.script, func(i int) bool { return ops[i].dies })
}

func write(what string) func(*call) {
	return func(c *call) {
		n, err := c.w.Write([]byte(what))
		c.wrote("Write", int64(n), err)
	}
}

func writeHeader(status int) func(*call) {
	return func(c *call) {
		c.w.WriteHeader(status)
		if (status >= 200 || status == 101) && !c.e.delays {
			c.committed()
		}
	}
}

func header(name, value string) func(*call) {
	return func(c *call) {
		c.w.Header().Set(name, value)
	}
}

func connectionField(name string, values ...string) func(*call) {
	return func(c *call) {
		c.w.Header()[name] = values
		if wantsClose(values) {
			c.note(sawAsksClose)
		} else {
			c.note(sawAsksKeep)
		}
	}
}

// look writes down what the handler can see.
func look(c *call) {
	path := "no URL"
	if c.r.URL != nil {
		path = c.r.URL.Path
	}
	_, flushes := c.w.(http.Flusher)
	_, hijacks := c.w.(http.Hijacker)
	_, readsFrom := c.w.(io.ReaderFrom)
	_, pushes := c.w.(http.Pusher)
	_, writesStrings := c.w.(io.StringWriter)
	_, notifies := c.w.(http.CloseNotifier) //nolint:staticcheck // old handlers still look for it
	c.logf("%s %s %q %q, close %v; header: %s; interfaces: %v %v %v %v %v %v",
		c.r.Method, path, c.r.Proto, c.r.Host, c.r.Close, dump(c.w.Header()),
		flushes, hijacks, readsFrom, pushes, writesStrings, notifies)
}

// getsStuck is given up by a timeout above, and goes on with what it has.
func getsStuck(c *call) {
	c.note(sawStuck)
	c.stuck.send()
	for i := range 20 {
		c.r.Header.Set("Legacy", strconv.Itoa(i))
		if c.r.URL != nil {
			c.r.URL.Path = sensitiveRoute
		}
		c.w.Header().Set("Connection", "close")
		io.WriteString(c.w, "too late")
		runtime.Gosched()
	}
	select {
	case <-c.released.c:
	case <-time.After(bound()):
		c.e.t.Errorf("request %d: nobody released the handler that was given up", c.number)
	}
}

func afterwards(do func(*call)) func(*call) {
	return func(c *call) {
		c.later(func() { do(c) })
	}
}

func (s *state) later(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = append(s.after, do)
}

func hijack(use func(c *call, write func(string), read func())) func(*call) {
	return func(c *call) {
		conn, rw, err := c.controller().Hijack()
		if err != nil {
			c.logf("Hijack: %v", err)
			return
		}
		defer conn.Close()
		c.note(sawHijack)
		conn.SetDeadline(time.Now().Add(bound()))
		use(c, func(s string) {
			rw.WriteString(s)
			rw.Flush()
		}, func() { rw.ReadByte() })
	}
}
