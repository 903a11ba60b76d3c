package differential

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/politeclose/politeclose/core"
)

// op is one thing that a handler does.
type op struct {
	name string
	do   func(*call)
	opTraits
}

type opTraits struct {
	ends     bool // nothing follows
	http1    bool // makes sense on HTTP/1 alone, or for the server's own request alone
	parts    bool // makes requests of its own
	gone     bool // waits for the client to go
	switches bool // leaves HTTP
	marks    bool // what it does outlives the request
	awaits   bool // waits for a drain or for the request's end
	early    bool // an informational response
	exits    bool // the goroutine
	duplex   bool
	dies     bool // the handler does not return
	keeps    bool // the writer, for later
	chunks   bool // the response is sent in pieces
	cuts     bool // the response is cut off, or may be
	strays   bool // work goes on after the request
	reads    bool // the body
	closes   bool // the body, which net/http reads to its end
	swaps    bool // the server's own request has another body
	commits  bool // lets the header leave
	floods   bool // writes more than the sockets hold
	quick    bool // never waits for the client
	touches  bool // the server's own request
	stalls   bool // until somebody gives the handler up
	answers  bool // before the client has sent all, which it does not go on with
	speaks   bool // about the connection
}

var ops = []op{
	{name: "Write", do: write("short\n"), opTraits: opTraits{commits: true}},
	{name: "WriteString", do: func(c *call) {
		n, err := io.WriteString(c.w, "string\n")
		c.wrote("WriteString", int64(n), err)
	}, opTraits: opTraits{commits: true}},
	{name: "Write of much", do: write(strings.Repeat("much\n", 2000)), opTraits: opTraits{commits: true}},
	{name: "Write of a megabyte", do: write(strings.Repeat("very much\n", 100_000)), opTraits: opTraits{commits: true, floods: true}},
	{name: "Write of nothing", do: write(""), opTraits: opTraits{commits: true}},
	{name: "ReadFrom", do: func(c *call) {
		n, err := io.Copy(c.w, struct{ io.Reader }{strings.NewReader("abc")})
		c.wrote("ReadFrom", n, err)
	}, opTraits: opTraits{commits: true}},
	{name: "Flush", do: func(c *call) {
		err := c.controller().Flush()
		c.logf("Flush: %v", err)
		if err == nil {
			c.committed()
		}
	}, opTraits: opTraits{chunks: true, commits: true}},
	{name: "200", do: writeHeader(200), opTraits: opTraits{commits: true, quick: true}},
	{name: "204", do: writeHeader(204), opTraits: opTraits{commits: true}},
	{name: "304", do: writeHeader(304), opTraits: opTraits{commits: true}},
	{name: "403", do: writeHeader(403), opTraits: opTraits{commits: true, quick: true}},
	{name: "413", do: writeHeader(413), opTraits: opTraits{commits: true}},
	{name: "503", do: writeHeader(503), opTraits: opTraits{commits: true}},
	{name: "103", do: writeHeader(103), opTraits: opTraits{early: true}},
	{name: "100", do: writeHeader(100), opTraits: opTraits{early: true}},
	{name: "101", do: writeHeader(101), opTraits: opTraits{ends: true, commits: true, http1: true, switches: true}},
	{name: "Connection: close", do: connectionField("Connection", "close"), opTraits: opTraits{speaks: true, quick: true}},
	{name: "Connection: Close", do: connectionField("Connection", "Close"), opTraits: opTraits{speaks: true, quick: true}},
	{name: "Connection: X-A, close", do: connectionField("Connection", "X-A, close"), opTraits: opTraits{speaks: true, quick: true}},
	{name: "Connection: keep-alive and close", do: connectionField("Connection", "keep-alive", "close"), opTraits: opTraits{speaks: true, quick: true}},
	{name: "Connection: keep-alive", do: connectionField("Connection", "keep-alive"), opTraits: opTraits{speaks: true, quick: true}},
	{name: "Connection: X-A", do: connectionField("Connection", "X-A"), opTraits: opTraits{speaks: true, quick: true}},
	{name: "connection: close", do: connectionField("connection", "close"), opTraits: opTraits{speaks: true, quick: true}},
	{name: "Set", do: header("X-Set", "1"), opTraits: opTraits{quick: true}},
	{name: "Content-Length of too little", do: header("Content-Length", "3"), opTraits: opTraits{cuts: true}},
	{name: "Content-Length of too much", do: header("Content-Length", "100000"), opTraits: opTraits{cuts: true}},
	{name: "Trailer", do: func(c *call) {
		c.w.Header().Add("Trailer", "X-Trailer")
		c.trailer = true
	}, opTraits: opTraits{chunks: true, quick: true}},
	{name: "TrailerPrefix", do: header(http.TrailerPrefix+"X-Late", "1"), opTraits: opTraits{chunks: true}},
	{name: "reads all", do: func(c *call) {
		b, err := io.ReadAll(c.r.Body)
		c.read(len(b), err)
	}, opTraits: opTraits{reads: true}},
	{name: "reads some", do: func(c *call) {
		n, err := io.ReadFull(c.r.Body, make([]byte, 3))
		c.read(n, err)
	}, opTraits: opTraits{reads: true}},
	{name: "closes the body", do: func(c *call) {
		c.logf("closed the body: %v", c.r.Body.Close())
	}, opTraits: opTraits{closes: true}},
	{name: "answers while it reads", do: func(c *call) {
		duplex := c.controller().EnableFullDuplex()
		c.logf("full duplex: %v", duplex)
		n, err := io.WriteString(c.w, "early\n")
		c.wrote("WriteString", int64(n), err)
		if err := c.controller().Flush(); err != nil {
			c.logf("Flush: %v", err)
		}
		if b, err := io.ReadAll(c.r.Body); duplex == nil {
			c.logf("read %d: %v", len(b), err)
		} else {
			c.read(len(b), err)
		}
	}, opTraits: opTraits{duplex: true, commits: true}},
	{name: "answers while another goroutine reads", do: func(c *call) {
		if c.controller().EnableFullDuplex() != nil {
			return
		}
		begun := make(chan struct{})
		c.unwinding.Go(func() {
			io.ReadFull(c.r.Body, make([]byte, 3))
			close(begun)
			io.Copy(io.Discard, c.r.Body)
		})
		<-begun
		c.w.WriteHeader(http.StatusForbidden)
		io.WriteString(c.w, "no")
		c.answered.send()
	}, opTraits: opTraits{ends: true, http1: true, answers: true}},
	{name: "lets the client go on", do: func(c *call) {
		c.reached.send()
	}},
	{name: "looks", do: look, opTraits: opTraits{quick: true}},
	{name: "CloseAfter", do: func(c *call) {
		c.closeAfter()
	}, opTraits: opTraits{quick: true, marks: true}},
	{name: "Drain", do: func(c *call) {
		c.note(sawDrain)
		c.e.drain()
		c.told = true
	}, opTraits: opTraits{quick: true, marks: true}},
	{name: "Resume", do: func(c *call) {
		c.note(sawResume)
		c.e.resume()
	}, opTraits: opTraits{quick: true, marks: true}},
	{name: "Leaving", do: func(c *call) {
		c.leaving()
	}, opTraits: opTraits{quick: true}},
	{name: "streams until a drain", do: func(c *call) {
		left := c.leaving()
		c.note(sawDrain)
		c.e.drain()
		c.awaitLeaving(left)
	}, opTraits: opTraits{marks: true, awaits: true}},
	{name: "streams until the client goes", do: func(c *call) {
		left := c.leaving()
		c.reached.send()
		select {
		case <-c.r.Context().Done():
		case <-time.After(bound()):
			c.e.t.Errorf("the request's context is not done though the client has gone")
		}
		c.awaitLeaving(left)
	}, opTraits: opTraits{ends: true, gone: true, awaits: true}},
	{name: "gets stuck", do: getsStuck, opTraits: opTraits{ends: true, stalls: true}},
	{name: "parts", do: parts("part"), opTraits: opTraits{parts: true}},
	{name: "parts that say close", do: parts("close"), opTraits: opTraits{parts: true}},
	{name: "parts that call CloseAfter", do: parts("ask"), opTraits: opTraits{parts: true, marks: true}},
	{name: "parts for the sensitive route", do: parts("login"), opTraits: opTraits{parts: true}},
	{name: "background work", do: background("part"), opTraits: opTraits{parts: true, marks: true, strays: true}},
	{name: "background work for the sensitive route", do: background("login"), opTraits: opTraits{parts: true, marks: true, strays: true}},
	{name: "background work that says close", do: background("close"), opTraits: opTraits{parts: true, marks: true, strays: true}},
	{name: "CloseAfter when it is over", do: afterwards(func(c *call) {
		c.note(sawStrayCloseAfter)
		core.CloseAfter(c.r.Context(), core.ReasonHandler)
	}), opTraits: opTraits{marks: true}},
	{name: "Leaving when it is over", do: afterwards(func(c *call) { c.keepLeaving() })},
	{name: "uses the header when it is over", do: afterwards(func(c *call) { c.w.Header().Set("X-Too-Late", "1") }), opTraits: opTraits{keeps: true, http1: true}},
	{name: "WriteHeader when it is over", do: afterwards(func(c *call) { c.w.WriteHeader(500) }), opTraits: opTraits{keeps: true, http1: true}},
	{name: "context in place", do: func(c *call) {
		*c.r = *c.r.WithContext(context.WithValue(c.r.Context(), valueKey{}, 2))
	}, opTraits: opTraits{quick: true}},
	{name: "URL = nil", do: func(c *call) {
		c.r.URL = nil
	}, opTraits: opTraits{quick: true}},
	{name: "Header = nil", do: func(c *call) {
		c.r.Header = nil
	}, opTraits: opTraits{ends: true}},
	{name: "path in place", do: func(c *call) {
		if c.r.URL != nil {
			c.r.URL.Path = "/" + strings.TrimPrefix(c.r.URL.Path, "/login") + "x"
		}
	}, opTraits: opTraits{quick: true}},
	{name: "Legacy in place", do: func(c *call) {
		if c.r.Header.Get("Legacy") != "" {
			c.r.Header.Del("Legacy")
		} else {
			c.r.Header.Set("Legacy", "1")
		}
	}, opTraits: opTraits{quick: true}},
	{name: "Expect deleted", do: func(c *call) {
		c.r.Header.Del("Expect")
	}, opTraits: opTraits{quick: true}},
	{name: "Close = true in place", do: func(c *call) {
		c.r.Close = true
	}, opTraits: opTraits{quick: true}},
	{name: "Body = nil", do: func(c *call) {
		c.r.Body = http.NoBody
	}, opTraits: opTraits{swaps: true, quick: true, touches: true}},
	{name: "Method in place", do: func(c *call) {
		if c.r.Method != http.MethodHead {
			if c.e.p.rules.route != "" {
				c.note(sawHiddenRoute) // the route that http.ServeMux found may be asked for with it
			}
			c.r.Method = http.MethodPost
		}
	}, opTraits: opTraits{quick: true, touches: true}},
	{name: "panics", do: func(*call) { panic("boom") }, opTraits: opTraits{dies: true, cuts: true, ends: true}},
	{name: "aborts", do: func(*call) { panic(http.ErrAbortHandler) }, opTraits: opTraits{dies: true, cuts: true, ends: true}},
	{name: "Goexit", do: func(*call) {
		runtime.Goexit()
	}, opTraits: opTraits{dies: true, cuts: true, ends: true, exits: true}},
	{name: "hijacks and answers", do: hijack(func(c *call, write func(string), _ func()) {
		write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
	}), opTraits: opTraits{ends: true, http1: true, switches: true}},
	{name: "hijacks and then uses the writer", do: hijack(func(c *call, write func(string), _ func()) {
		write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
		c.w.WriteHeader(http.StatusTeapot)
		n, err := c.w.Write([]byte("late"))
		c.logf("Write: %d, %v", n, err)
		n, err = io.WriteString(c.w, "late")
		c.logf("WriteString: %d, %v", n, err)
	}), opTraits: opTraits{ends: true, http1: true, switches: true}},
	{name: "hijacks and says nothing", do: hijack(func(*call, func(string), func()) {}), opTraits: opTraits{ends: true, http1: true, switches: true}},
	{name: "hijacks and stays until the client speaks", do: hijack(func(c *call, write func(string), read func()) {
		left := c.leaving()
		write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		read()
		c.expectStaying(left)
		write("bye")
	}), opTraits: opTraits{ends: true, http1: true, switches: true}},
	{name: "hijacks and stays until a drain", do: hijack(func(c *call, write func(string), read func()) {
		left := c.leaving()
		write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		read()
		c.note(sawDrain)
		c.e.drain()
		c.awaitLeaving(left)
		write("bye")
	}), opTraits: opTraits{ends: true, http1: true, switches: true, marks: true}},
}
